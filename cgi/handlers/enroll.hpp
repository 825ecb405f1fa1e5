// What pomona-enroll does with one request.
//
// Never throws sys::Error: a fault is an answer (handlers/common.hpp). The path is a secret and is not put
// into the line.
#pragma once

#include "handlers/common.hpp"

namespace handlers {

inline constexpr std::size_t kEnrollBodyLimit = 1U << 20U;

// One per thread; it owns the thread's database connection.
class EnrollHandler {
 public:
  explicit EnrollHandler(service::Config const& config);
  void prepare() { db_.prepare("request"); }
  // `line` gets what the log shall say of the request; nothing in it is secret.
  sys::Response answer(sys::Request const& request, sys::LogLine& line);

 private:
  sys::Response route(sys::Request const& request, sys::LogLine& line);
  sys::Response enroll(sys::Request const& request, sys::LogLine& line);

  service::Config const& config_;
  Database db_;
};

}  // namespace handlers
