#include "handlers/mdm.hpp"

#include <chrono>
#include <optional>

#include "service/mdm.hpp"
#include "sys/crash_point.hpp"

namespace handlers {

namespace {

constexpr std::string_view kCheckIn = "application/x-apple-aspen-mdm-checkin";

sys::Response answer_of(service::MdmAnswer const& answer) {
  if (answer.user_declined) return sys::plain_error(410);
  sys::Response response;
  if (!answer.plist.empty()) response.content_type = "application/xml; charset=UTF-8";
  response.body = answer.plist;
  return response;
}

// nullopt: the request is one for us.
std::optional<sys::Response> wrong_address(sys::Request const& request) {
  auto const path = request.path();
  if (path != "/mdm" && path != "/mdm/checkin" && path != "/mdm/connect" && path != "/checkin")
    return sys::plain_error(404);
  if (request.method() != "PUT" && request.method() != "POST") return wrong_method("PUT, POST");
  return std::nullopt;
}

}  // namespace

MdmHandler::MdmHandler(service::Config const& config, service::MdmKeys const& keys)
    : config_(config), keys_(keys), db_(config) {}

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
  if (auto refused = wrong_address(request)) {
    error = "no device sends this";
    return *std::move(refused);
  }
  sys::crash_point("mdm-request-read");
  try {
    service::MdmContext context{db_.ready(), config_, keys_, sys::current_time(), trace};
    service::Credentials const credentials{request.param("SSL_CLIENT_VERIFY"),
                                           request.param("SSL_CLIENT_CERT"),
                                           request.param("HTTP_MDM_SIGNATURE")};
    bool const check_in = request.content_type().starts_with(kCheckIn);
    return answer_of(service::handle_mdm(context, {check_in, request.body, credentials}));
  } catch (sys::Error const& thrown) {
    error = std::string(sys::fault_name(thrown.fault())) + ": " + thrown.what();
    return handlers::failure(thrown.fault());
  }
}

}  // namespace handlers
