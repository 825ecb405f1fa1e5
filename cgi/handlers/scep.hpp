// What pomona-scep does with one request, and the one place where a fault becomes a status.
//
// Never throws sys::Error: a fault is an answer. 4xx for what the sender did, 503 without the database or a
// CA, 500 for the rest; never 401. Trusts the parameters of the request as sys/fcgi hands them on.
#pragma once

#include "service/ca_keys.hpp"
#include "service/config.hpp"
#include "sys/fcgi.hpp"
#include "sys/log.hpp"

namespace handlers {

inline constexpr std::size_t kScepBodyLimit = 64U << 10U;

// One per thread; it owns the thread's database connection and the CA's keys.
class ScepHandler {
 public:
  ScepHandler(service::Config const& config, sys::SealKey const& domain);
  // A server that is not ready yet (no database, no CA) answers 503 until it is; that is no reason to end.
  void prepare();
  // `line` gets what the log shall say of the request; nothing in it is secret.
  sys::Response answer(sys::Request const& request, sys::LogLine& line);

 private:
  sys::Response decide(sys::Request const& request, sys::LogLine& line);
  void check_schema();

  service::Config const& config_;
  sys::Db db_;
  service::CaKeys keys_;
  bool schema_checked_ = false;
};

}  // namespace handlers
