// What pomona-enroll does with one request, and the one place where a fault becomes a status.
//
// Never throws sys::Error: a fault is an answer. 4xx for what the sender did, 503 without the database or
// while the server is not set up, 500 for the rest; never 401. The path is a secret and is not put into the
// line.
#pragma once

#include "service/config.hpp"
#include "sys/fcgi.hpp"
#include "sys/log.hpp"

namespace handlers {

inline constexpr std::size_t kEnrollBodyLimit = 1U << 20U;

// One per thread; it owns the thread's database connection.
class EnrollHandler {
 public:
  explicit EnrollHandler(service::Config const& config);
  // `line` gets what the log shall say of the request; nothing in it is secret.
  sys::Response answer(sys::Request const& request, sys::LogLine& line);

 private:
  sys::Response route(sys::Request const& request, sys::LogLine& line);
  sys::Response enroll(sys::Request const& request, sys::LogLine& line);

  service::Config const& config_;
  sys::Db db_;
  bool schema_checked_ = false;
};

}  // namespace handlers
