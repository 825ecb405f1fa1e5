// What pomona-mdm does with one request: address, method, credentials, the message itself.
//
// Never throws sys::Error: a fault is an answer (handlers/common.hpp). Trusts the parameters of the request
// as sys/fcgi hands them on.
#pragma once

#include <string>

#include "handlers/common.hpp"
#include "service/mdm_context.hpp"

namespace handlers {

inline constexpr std::size_t kMdmBodyLimit = 64U << 20U;  // nginx's client_max_body_size for these locations

// One per thread; it owns the thread's database connection.
class MdmHandler {
 public:
  MdmHandler(service::Config const& config, service::MdmKeys const& keys);
  void prepare() { db_.prepare("mdm"); }
  // `line` gets what the log shall say of the request; nothing in it is secret.
  sys::Response answer(sys::Request const& request, sys::LogLine& line);

 private:
  sys::Response answer(sys::Request const& request, service::MdmTrace& trace, std::string& error);

  service::Config const& config_;
  service::MdmKeys const& keys_;
  Database db_;
};

}  // namespace handlers
