#include "service/report.hpp"

#include <algorithm>

#include "proto/command.hpp"
#include "store/commands.hpp"
#include "store/events.hpp"
#include "store/messages.hpp"
#include "store/push.hpp"
#include "store/results.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using proto::Report;
using proto::ReportStatus;
using store::EnrollmentState;

// A sealed value must fit into one packet of the database, whatever message-limit says.
constexpr std::size_t kLargestKept = 48U << 20U;

char const* event_name(ReportStatus status) noexcept {
  switch (status) {
    case ReportStatus::acknowledged:
      return "command.acknowledged";
    case ReportStatus::error:
      return "command.error";
    case ReportStatus::command_format_error:
      return "command.format-error";
    case ReportStatus::oversized:
      return "command.oversized";
    default:
      return "command.unreadable";
  }
}

// An admitted sender on a channel that is served.
struct Session {
  MdmContext& context;
  Presented const& presented;
  Admission const& admission;
  store::Sender::ChannelRow const& channel;
};

bool seen_long_ago(Session const& session) {
  auto const& last = session.channel.last_seen_at;
  return !last || session.context.now - *last >= session.context.config.last_seen_interval;
}

// The body of the answer. Nothing for who is held back, has not sent its first TokenUpdate, or replays.
MdmAnswer hand_out(Session const& session, std::optional<store::NextCommand> const& next) {
  if (!next) return {};
  if (session.admission.ruling != Ruling::serve || session.channel.token_update_tally == 0) return {};
  auto& trace = session.context.trace;
  if (!may_be_handed_secrets(session.presented, session.context.now)) {
    trace.outcome += ", signed at another time: no command";
    return {};
  }
  if (next->rendered || !next->body) {
    throw sys::Error(sys::Fault::internal,
                     "command " + next->uuid + ": nothing renders " + next->renderer.value_or("it"));
  }
  trace.handed_out = next->uuid;
  return {false, store::open_command(session.context.keys.message, next->uuid, *next->body)};
}

MdmAnswer idle(Session const& session) {
  auto& context = session.context;
  auto const& admission = session.admission;
  bool const served = admission.ruling == Ruling::serve;
  bool const new_session = served && admission.not_now;
  if (new_session) store::reopen_not_now(context.db, session.channel.id);
  if (seen_long_ago(session)) store::mark_enrollment_seen(context.db, session.channel.id, context.now);
  context.trace.outcome = served ? "idle" : "idle, " + admission.reason;
  if (new_session) return hand_out(session, store::next_command(context.db, session.channel.id));
  return hand_out(session, admission.next);
}

// Such a report names no delivery, so it settles none. The session ends here: the command that it may answer
// would be handed out again at once, and so on for ever.
MdmAnswer keep_nameless(Session const& session, Report const& report, std::string_view body) {
  auto& context = session.context;
  context.trace.outcome = "no CommandUUID";
  context.db.transaction([&] {
    store::put_message(context.db, context.keys.message, session.channel.id, "Report", body, context.now);
    store::Event event{"command.unknown", "device"};
    event.external_id = report.ids.external();
    event.enrollment_id = session.channel.id;
    event.detail = std::string("a report without CommandUUID: ") + proto::status_name(report.status) + ' ' +
                   report.detail;
    store::record_event(context.db, event, context.now);
  });
  return {};
}

MdmAnswer settle(Session const& session, Report const& report, std::string_view body) {
  auto& context = session.context;
  store::SettleRequest request;
  request.enrollment_id = session.channel.id;
  request.uuid = report.command_uuid;
  request.status = proto::status_name(report.status);
  if (report.status != ReportStatus::oversized && body.size() <= kLargestKept)
    request.body = store::seal_report(context.keys.message, session.channel.id, report.command_uuid, body);
  request.event = event_name(report.status);
  request.external_id = report.ids.external();
  constexpr std::size_t kLongestDetail = 2000;  // as store::record_event
  request.detail = proto::cut_text(sys::escape_controls(report.detail), kLongestDetail);
  request.touch = seen_long_ago(session);
  auto const settled = store::settle_report(context.db, request, context.now);
  context.trace.outcome = settled.outcome;
  return hand_out(session, settled.next);
}

}  // namespace

MdmAnswer handle_report(MdmContext& context, Presented const& presented, std::string_view body) {
  Report const report = proto::decode_report(body, std::min(context.config.message_limit, kLargestKept));
  context.trace.id = report.ids.external();
  context.trace.message = proto::status_name(report.status);
  context.trace.command_uuid = report.command_uuid;
  bool const is_idle = report.status == ReportStatus::idle;
  Admission const admission = admit(context, presented, report.ids, {is_idle, false});
  if (admission.first_sight) context.db.transaction([&] { adopt_renewal(context, admission, presented); });
  bool const waits = admission.device.state == EnrollmentState::pending;
  if (waits || !admission.channel) {
    context.trace.outcome = waits ? admission.reason : "a user channel without TokenUpdate";
    return {};
  }
  Session const session{context, presented, admission, *admission.channel};
  if (session.channel.state != EnrollmentState::current)
    throw sys::Error(sys::Fault::unauthenticated, "identity: the user channel was checked out");
  if (session.channel.push_dead) store::revive_push(context.db, session.channel.id, context.now);
  if (is_idle) return idle(session);
  if (report.command_uuid.empty()) return keep_nameless(session, report, body);
  return settle(session, report, body);
}

}  // namespace service
