// What pomona-scep does with one request.
//
// Never throws sys::Error: a fault is an answer (handlers/common.hpp). Trusts the parameters of the request
// as sys/fcgi hands them on.
#pragma once

#include "handlers/common.hpp"
#include "service/ca_keys.hpp"

namespace handlers {

inline constexpr std::size_t kScepBodyLimit = 64U << 10U;

// One per thread; it owns the thread's database connection and the CA's keys.
class ScepHandler {
 public:
  ScepHandler(service::Config const& config, sys::KeyRing const& domain);
  // A server that is not ready yet (no database, no CA) answers 503 until it is; that is no reason to end.
  void prepare();
  // `line` gets what the log shall say of the request; nothing in it is secret.
  sys::Response answer(sys::Request const& request, sys::LogLine& line);

 private:
  sys::Response decide(sys::Request const& request, sys::LogLine& line);

  service::Config const& config_;
  Database db_;
  service::CaKeys keys_;
};

}  // namespace handlers
