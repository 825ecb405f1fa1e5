// What the handlers share: their database, their set-up, and what a request that failed is answered.
//
// Only what the sender did is a 4xx, and never 401 or 403: a device may take those as an order to forget the
// server. The rest is ours, also what the database calls a conflict or a missing grant: a 5xx lets the device
// keep its message and come again. An answer says its status and nothing else; the reason is in the log.
#pragma once

#include "service/config.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"
#include "sys/fcgi.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace handlers {

inline int status_of(sys::Fault fault) noexcept {
  switch (fault) {
    case sys::Fault::bad_request:
    case sys::Fault::unauthenticated:
      return 400;
    case sys::Fault::not_found:  // of a CA, a push certificate, a key: this server is not set up yet
    case sys::Fault::unavailable:
      return 503;
    default:
      return 500;
  }
}

inline sys::Response failure(sys::Fault fault) {
  sys::Response response = sys::plain_error(status_of(fault));
  if (response.status == 503) response.headers["Retry-After"] = "60";
  return response;
}

inline sys::Response wrong_method(char const* allowed) {
  sys::Response response = sys::plain_error(405);
  response.headers["Allow"] = allowed;
  return response;
}

// Runs `decide()` and adds to the line what every handler says of a request; a fault becomes its answer.
template <typename Decide>
sys::Response answer_and_describe(sys::Request const& request, sys::LogLine& line, Decide const& decide) {
  line.add("remote", request.remote()).add("method", request.method());
  sys::Response response;
  try {
    response = decide();
  } catch (sys::Error const& error) {
    response = failure(error.fault());
    line.add("fault", sys::fault_name(error.fault())).add("error", error.what());
  }
  line.add("status", response.status);
  return response;
}

// The database of one thread. `ready` begins a request: it throws Error{unavailable} until the schema fits,
// and from it on the request's time runs.
class Database {
 public:
  explicit Database(service::Config const& config)
      : db_(service::open_database(config, service::Patience::request)) {}
  sys::Db& ready() {
    db_.limit_time(service::kRequestStart);
    if (!schema_checked_) store::check_schema(db_);
    schema_checked_ = true;
    return db_;
  }
  // Before the first request. A database that is away may come; one that refuses this program, or is set up
  // so that it cannot work, throws: better to not start than to fail every request.
  void prepare(char const* line) {
    try {
      ready();
    } catch (sys::Error const& error) {
      if (error.fault() != sys::Fault::unavailable) throw;
      sys::LogLine(line).add("outcome", "not-ready").add("error", error.what()).write();
    }
  }
  [[nodiscard]] std::uint64_t round_trips() const noexcept { return db_.round_trips(); }

 private:
  sys::Db db_;
  bool schema_checked_ = false;
};

inline sys::ServeOptions serve_options(service::Config const& config, std::size_t body_limit) {
  sys::ServeOptions options;
  options.socket_path = config.socket;
  options.threads = config.threads;
  options.body_limit = body_limit;
  options.gate = sys::read_secret_file(config.gate_file);
  return options;
}

}  // namespace handlers
