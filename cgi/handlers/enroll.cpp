#include "handlers/enroll.hpp"

#include "service/enroll.hpp"
#include "sys/text.hpp"

namespace handlers {

namespace {

using service::Config;
using service::EnrollOutcome;
using sys::Request;
using sys::Response;

constexpr std::string_view kEnroll = "/enroll";

Response profile_response(std::string bytes, std::string const& name) {
  Response response;
  response.content_type = "application/x-apple-aspen-config";
  response.body = std::move(bytes);
  response.headers["Content-Disposition"] = "attachment; filename=\"" + name + ".mobileconfig\"";
  response.headers["Cache-Control"] = "no-store";
  return response;
}

Response answer_of(EnrollOutcome outcome, sys::LogLine& line) {
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

}  // namespace

EnrollHandler::EnrollHandler(service::Config const& config) : config_(config), db_(config) {}

// /enroll and /enroll/ without a ticket; else /enroll/TICKET, in either case: people type it from paper.
Response EnrollHandler::enroll(Request const& request, sys::LogLine& line) {
  sys::Db& db = db_.ready();
  bool const mint = request.method() != "HEAD";
  auto const now = sys::current_time();
  auto rest = request.path().substr(kEnroll.size());
  if (rest.starts_with('/')) rest.remove_prefix(1);
  if (rest.empty()) return answer_of(service::enroll_openly(db, config_, mint, now), line);
  return answer_of(service::enroll_by_ticket(db, config_, sys::to_upper(rest), mint, now), line);
}

Response EnrollHandler::route(Request const& request, sys::LogLine& line) {
  auto const path = request.path();
  auto const method = request.method();
  bool const reads = method == "GET" || method == "HEAD";
  if (path == kEnroll || path.starts_with("/enroll/")) {
    line.add("what", "enroll");
    if (!reads && method != "POST") return wrong_method("GET, HEAD, POST");
    return enroll(request, line);
  }
  if (path == "/trust" || path == "/MDMServiceConfig") {
    line.add("what", path.substr(1));
    if (!reads) return wrong_method("GET, HEAD");
    return path == "/trust" ? trust(config_) : describe_service(config_);
  }
  return sys::plain_error(404);
}

Response EnrollHandler::answer(Request const& request, sys::LogLine& line) {
  return answer_and_describe(request, line, [&] { return route(request, line); });
}

}  // namespace handlers
