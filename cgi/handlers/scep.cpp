#include "handlers/scep.hpp"

#include "service/scep.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace handlers {

namespace {

using sys::Response;

int status_of(sys::Fault fault) {
  switch (fault) {
    case sys::Fault::bad_request:
      return 400;
    case sys::Fault::unauthenticated:
    case sys::Fault::forbidden:
      return 403;
    case sys::Fault::not_found:
      return 404;
    case sys::Fault::conflict:
    case sys::Fault::unavailable:
      return 503;
    case sys::Fault::upstream:
      return 502;
    case sys::Fault::internal:
      break;
  }
  return 500;
}

void describe(service::ScepAnswer const& answer, sys::LogLine& line) {
  if (!answer.transaction_id.empty()) line.add("transaction", answer.transaction_id);
  line.add("outcome", answer.outcome);
  if (!answer.fail_info.empty()) line.add("fail_info", answer.fail_info);
  if (!answer.reason.empty()) line.add("reason", answer.reason);
  if (answer.ticket_id) line.add("ticket", *answer.ticket_id);
  if (answer.cert)
    line.add("serial", sys::hex(answer.cert->serial())).add("sha256", sys::hex(answer.cert->sha256()));
}

}  // namespace

ScepHandler::ScepHandler(service::Config const& config, sys::SealKey const& domain)
    : config_(config), db_(service::open_database(config)), keys_(domain) {}

void ScepHandler::check_schema() {
  if (!schema_checked_) store::check_schema(db_);
  schema_checked_ = true;
}

sys::Response ScepHandler::decide(sys::Request const& request, sys::LogLine& line) {
  auto const asked = proto::decode_scep_request(request.method(), request.query(), request.body);
  line.add("operation", proto::scep_operation_name(asked.operation));
  check_schema();
  constexpr std::size_t kLongestAddress = 64;
  std::string const requester(request.remote().substr(0, kLongestAddress));
  auto result = service::answer_scep(db_, config_, keys_, asked, requester, sys::current_time());
  describe(result, line);
  Response response;
  response.content_type = std::move(result.content_type);
  response.body = std::move(result.body);
  return response;
}

sys::Response ScepHandler::answer(sys::Request const& request, sys::LogLine& line) {
  line.add("remote", request.remote()).add("method", request.method());
  Response response;
  try {
    response = decide(request, line);
  } catch (sys::Error const& error) {
    response = sys::plain_error(status_of(error.fault()));
    line.add("fault", sys::fault_name(error.fault())).add("error", error.what());
  }
  line.add("status", response.status);
  return response;
}

void ScepHandler::prepare() {
  try {
    check_schema();
    service::warm_up_scep(db_, keys_, sys::current_time());
  } catch (sys::Error const& error) {
    if (error.fault() != sys::Fault::unavailable) throw;
    sys::LogLine("scep").add("outcome", "not-ready").add("error", error.what()).write();
  }
}

}  // namespace handlers
