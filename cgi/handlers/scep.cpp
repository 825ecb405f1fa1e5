#include "handlers/scep.hpp"

#include "service/scep.hpp"
#include "sys/crash_point.hpp"
#include "sys/text.hpp"

namespace handlers {

namespace {

using sys::Response;

void describe(service::ScepAnswer const& answer, sys::LogLine& line) {
  if (!answer.transaction_id.empty()) line.add("transaction", answer.transaction_id);
  if (!answer.message_type.empty()) line.add("type", answer.message_type);
  line.add("outcome", answer.outcome);
  if (!answer.fail_info.empty()) line.add("fail_info", answer.fail_info);
  if (!answer.reason.empty()) line.add("reason", answer.reason);
  if (!answer.old_algorithms.empty()) line.add("old_algorithms", answer.old_algorithms);
  if (answer.ticket_id) line.add("ticket", *answer.ticket_id);
  if (answer.enrollment_id) line.add("enrollment", *answer.enrollment_id);
  if (answer.cert)
    line.add("serial", sys::hex(answer.cert->serial())).add("sha256", sys::hex(answer.cert->sha256()));
}

}  // namespace

ScepHandler::ScepHandler(service::Config const& config, sys::KeyRing const& domain)
    : config_(config), db_(config), keys_(domain) {}

sys::Response ScepHandler::decide(sys::Request const& request, sys::LogLine& line) {
  auto const asked = proto::decode_scep_request(request.method(), request.query(), request.body);
  line.add("operation", proto::scep_operation_name(asked.operation));
  sys::crash_point("scep-request-read");
  sys::Db& db = db_.ready();
  constexpr std::size_t kLongestAddress = 64;
  service::ScepPeer const peer{std::string(request.remote().substr(0, kLongestAddress)), request.https()};
  auto result = service::answer_scep(db, config_, keys_, asked, peer, sys::current_time());
  describe(result, line);
  Response response;
  response.content_type = std::move(result.content_type);
  response.body = std::move(result.body);
  return response;
}

sys::Response ScepHandler::answer(sys::Request const& request, sys::LogLine& line) {
  return answer_and_describe(request, line, [&] { return decide(request, line); });
}

void ScepHandler::prepare() {
  try {
    service::warm_up_scep(db_.ready(), keys_, sys::current_time());
  } catch (sys::Error const& error) {
    if (error.fault() != sys::Fault::unavailable) throw;
    sys::LogLine("scep").add("outcome", "not-ready").add("error", error.what()).write();
  }
}

}  // namespace handlers
