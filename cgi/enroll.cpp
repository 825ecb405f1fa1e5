// pomona-enroll: enrolment profiles and the public documents, as a FastCGI handler.
//
// SECURITY. Whoever reaches this program is a stranger: the only thing it believes is the secret of a ticket
// in the path, and, where open enrolment is on, it believes nothing at all and hands out a short-lived
// ticket. Parameters are trusted from nginx alone (gate secret). It runs as pomona-enroll and may open its
// configuration, the gate file and the public PEM of https-ca-file; in the database it reads and writes
// tickets and profiles, reads public halves of certificates and adds events. It holds no private key. The
// path is a secret: it is never logged here, only the ticket's number is, and refusals say nothing but their
// status. Never 401: devices take that as an order to forget the server.
#include "service/enroll.hpp"

#include <memory>

#include "service/program.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"
#include "sys/fcgi.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"
#include "sys/text.hpp"

namespace {

using service::Config;
using service::EnrollOutcome;
using sys::Request;
using sys::Response;

constexpr std::size_t kBodyLimit = 1U << 20U;
constexpr std::string_view kEnroll = "/enroll";

int status_of(sys::Fault fault) {
  switch (fault) {
    case sys::Fault::bad_request:
      return 400;
    case sys::Fault::unauthenticated:
    case sys::Fault::forbidden:
      return 403;
    case sys::Fault::conflict:
    case sys::Fault::not_found:  // of a CA, a push certificate: this server is not set up yet
    case sys::Fault::unavailable:
      return 503;
    case sys::Fault::upstream:
      return 502;
    case sys::Fault::internal:
      break;
  }
  return 500;
}

// One per thread.
struct Handling {
  Config const& config;
  sys::Db db;
  bool schema_checked = false;
};

Response profile_response(std::string bytes, std::string const& name) {
  Response response;
  response.content_type = "application/x-apple-aspen-config";
  response.body = std::move(bytes);
  response.headers["Content-Disposition"] = "attachment; filename=\"" + name + ".mobileconfig\"";
  response.headers["Cache-Control"] = "no-store";
  return response;
}

Response answer(EnrollOutcome outcome, sys::LogLine& line) {
  if (outcome.ticket) line.add("ticket", *outcome.ticket);
  if (outcome.reason != nullptr) line.add("reason", outcome.reason);
  switch (outcome.kind) {
    case EnrollOutcome::Kind::profile:
      return profile_response(std::move(outcome.profile), "enroll");
    case EnrollOutcome::Kind::gone:
      return sys::plain_error(410);
    case EnrollOutcome::Kind::unknown:
      break;
  }
  return sys::plain_error(404);
}

// /enroll and /enroll/ without a ticket; else /enroll/TICKET, in either case: people type it from paper.
Response enroll(Handling& handling, Request const& request, sys::LogLine& line) {
  if (!handling.schema_checked) store::check_schema(handling.db);
  handling.schema_checked = true;
  bool const mint = request.method() != "HEAD";
  auto const now = sys::current_time();
  auto rest = request.path().substr(kEnroll.size());
  if (rest.starts_with('/')) rest.remove_prefix(1);
  if (rest.empty()) return answer(service::enroll_openly(handling.db, handling.config, mint, now), line);
  return answer(service::enroll_by_ticket(handling.db, handling.config, sys::to_upper(rest), mint, now),
                line);
}

Response trust(Config const& config) {
  auto profile = service::trust_profile(config);
  return profile ? profile_response(std::move(*profile), "trust") : sys::plain_error(404);
}

Response describe_service(Config const& config) {
  Response response;
  response.content_type = "application/json; charset=UTF8";  // as Apple writes it
  response.body = service::service_config(config);
  return response;
}

Response refuse_method(char const* allowed) {
  Response response = sys::plain_error(405);
  response.headers["Allow"] = allowed;
  return response;
}

Response route(Handling& handling, Request const& request, sys::LogLine& line) {
  auto const path = request.path();
  auto const method = request.method();
  bool const reads = method == "GET" || method == "HEAD";
  if (path == kEnroll || path.starts_with("/enroll/")) {
    line.add("what", "enroll");
    if (!reads && method != "POST") return refuse_method("GET, HEAD, POST");
    return enroll(handling, request, line);
  }
  if (path == "/trust" || path == "/MDMServiceConfig") {
    line.add("what", path.substr(1));
    if (!reads) return refuse_method("GET, HEAD");
    return path == "/trust" ? trust(handling.config) : describe_service(handling.config);
  }
  return sys::plain_error(404);
}

Response handle(Handling& handling, Request const& request) {
  sys::LogLine line("request");
  line.add("remote", request.remote()).add("method", request.method());
  Response response;
  try {
    response = route(handling, request, line);
  } catch (sys::Error const& error) {
    response = sys::plain_error(status_of(error.fault()));
    line.add("fault", sys::fault_name(error.fault())).add("error", error.what());
  }
  line.add("status", response.status).write();
  return response;
}

int serve(Config const& config) {
  sys::ServeOptions options;
  options.socket_path = config.socket;
  options.threads = config.threads;
  options.body_limit = kBodyLimit;
  options.gate = sys::read_secret_file(config.gate_file);
  return sys::serve(options, [&config]() -> sys::Handler {
    auto handling = std::make_shared<Handling>(Handling{config, service::open_database(config)});
    return [handling](Request const& request) { return handle(*handling, request); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  return service::run_program({"pomona-enroll", "hands out enrolment profiles (FastCGI)"}, argc, argv,
                              [](Config const& config, sys::ParsedOptions const&) { return serve(config); });
}
