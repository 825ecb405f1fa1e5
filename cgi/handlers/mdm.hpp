// What pomona-mdm does with one request: address, method, credentials, the message itself, and the one place
// where a fault becomes a status.
//
// Never throws sys::Error: a fault is an answer. 400 for what the sender did, 503 without the database, 500
// for the rest; never 401. Trusts the parameters of the request as sys/fcgi hands them on.
#pragma once

#include <string>

#include "service/mdm_context.hpp"
#include "sys/fcgi.hpp"
#include "sys/log.hpp"

namespace handlers {

inline constexpr std::size_t kMdmBodyLimit = 64U << 20U;  // nginx's client_max_body_size for these locations

// One per thread; it owns the thread's database connection.
class MdmHandler {
 public:
  MdmHandler(service::Config const& config, service::MdmKeys const& keys);
  // `line` gets what the log shall say of the request; nothing in it is secret.
  sys::Response answer(sys::Request const& request, sys::LogLine& line);

 private:
  sys::Response answer(sys::Request const& request, service::MdmTrace& trace, std::string& error);

  service::Config const& config_;
  service::MdmKeys const& keys_;
  sys::Db db_;
  bool schema_checked_ = false;
};

}  // namespace handlers
