#include "handlers/mdm.hpp"

#include <chrono>

#include "service/mdm.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"

namespace handlers {

namespace {

using sys::Fault;

constexpr std::string_view kCheckIn = "application/x-apple-aspen-mdm-checkin";

// Only what the sender did is answered 400. The rest is ours, also what the database calls a conflict or a
// missing grant: a 5xx lets the device keep its message and come again.
int status_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::bad_request:
    case Fault::unauthenticated:
      return 400;
    case Fault::unavailable:
      return 503;
    default:
      return 500;
  }
}

sys::Response error_answer(int status) {
  sys::Response response = sys::plain_error(status);
  if (status == 503) response.headers["Retry-After"] = "60";
  if (status == 405) response.headers["Allow"] = "PUT, POST";
  return response;
}

sys::Response answer_of(service::MdmAnswer const& answer) {
  if (answer.user_declined) return error_answer(410);
  sys::Response response;
  if (!answer.plist.empty()) response.content_type = "application/xml; charset=UTF-8";
  response.body = answer.plist;
  return response;
}

// 0: the request is one for us.
int wrong_address(sys::Request const& request) {
  auto const path = request.path();
  if (path != "/mdm" && path != "/mdm/checkin" && path != "/mdm/connect" && path != "/checkin") return 404;
  if (request.method() != "PUT" && request.method() != "POST") return 405;
  return 0;
}

}  // namespace

MdmHandler::MdmHandler(service::Config const& config, service::MdmKeys const& keys)
    : config_(config), keys_(keys), db_(service::open_database(config)) {}

sys::Response MdmHandler::answer(sys::Request const& request, sys::LogLine& line) {
  auto const began = std::chrono::steady_clock::now();
  auto const trips = db_.round_trips();
  service::MdmTrace trace;
  std::string error;
  sys::Response response = answer(request, trace, error);
  line.add("status", response.status).add("remote", request.remote());
  auto const add = [&](char const* key, std::string const& value) {
    if (!value.empty()) line.add(key, value);
  };
  add("id", trace.id);
  add("message", trace.message);
  add("command_uuid", trace.command_uuid);
  add("outcome", trace.outcome);
  add("handed_out", trace.handed_out);
  add("certificate", trace.certificate);
  add("error", error);
  auto const took = std::chrono::steady_clock::now() - began;
  line.add("sql", static_cast<long long>(db_.round_trips() - trips));
  line.add("us", static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
  return response;
}

sys::Response MdmHandler::answer(sys::Request const& request, service::MdmTrace& trace, std::string& error) {
  if (int const status = wrong_address(request); status != 0) {
    error = "no device sends this";
    return error_answer(status);
  }
  try {
    if (!schema_checked_) store::check_schema(db_);
    schema_checked_ = true;
    service::MdmContext context{db_, config_, keys_, sys::current_time(), trace};
    service::Credentials const credentials{request.param("SSL_CLIENT_VERIFY"),
                                           request.param("SSL_CLIENT_CERT"),
                                           request.param("HTTP_MDM_SIGNATURE")};
    bool const check_in = request.content_type().starts_with(kCheckIn);
    return answer_of(service::handle_mdm(context, {check_in, request.body, credentials}));
  } catch (sys::Error const& failure) {
    error = std::string(sys::fault_name(failure.fault())) + ": " + failure.what();
    return error_answer(status_of(failure.fault()));
  }
}

}  // namespace handlers
