#include "service/report.hpp"

#include <algorithm>

#include "proto/command.hpp"
#include "store/commands.hpp"
#include "store/events.hpp"
#include "store/messages.hpp"
#include "store/push.hpp"
#include "store/results.hpp"
#include "sys/error.hpp"

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

bool seen_long_ago(MdmContext const& context, store::Sender::ChannelRow const& channel) {
  return !channel.last_seen_at || context.now - *channel.last_seen_at >= context.config.last_seen_interval;
}

// The body of the answer. Nothing for who is held back, has not sent its first TokenUpdate, or replays.
MdmAnswer hand_out(MdmContext& context, Presented const& presented, Admission const& admission,
                   std::optional<store::NextCommand> const& next) {
  if (!next) return {};
  if (admission.ruling != Ruling::serve || admission.sender.channel->token_update_tally == 0) return {};
  if (!may_be_handed_secrets(presented, context.now)) {
    context.trace.outcome += ", signed at another time: no command";
    return {};
  }
  if (next->rendered || !next->body) {
    throw sys::Error(sys::Fault::internal,
                     "command " + next->uuid + ": nothing renders " + next->renderer.value_or("it"));
  }
  context.trace.handed_out = next->uuid;
  return {false, store::open_command(context.keys.message, next->uuid, *next->body)};
}

MdmAnswer idle(MdmContext& context, Presented const& presented, Admission& admission) {
  auto& sender = admission.sender;
  bool const served = admission.ruling == Ruling::serve;
  if (served && sender.not_now) {
    store::reopen_not_now(context.db, sender.channel->id);
    sender.next = store::next_command(context.db, sender.channel->id);
  }
  if (seen_long_ago(context, *sender.channel))
    store::mark_enrollment_seen(context.db, sender.channel->id, context.now);
  context.trace.outcome = served ? "idle" : "idle, " + admission.reason;
  return hand_out(context, presented, admission, sender.next);
}

// Such a report names no delivery, so it settles none. The session ends here: the command that it may answer
// would be handed out again at once, and so on for ever.
MdmAnswer keep_nameless(MdmContext& context, Admission const& admission, Report const& report,
                        std::string_view body) {
  context.trace.outcome = "no CommandUUID";
  context.db.transaction([&] {
    store::put_message(context.db, context.keys.message, admission.sender.channel->id, "Report", body,
                       context.now);
    store::Event event{"command.unknown", "device"};
    event.external_id = report.ids.external();
    event.enrollment_id = admission.sender.channel->id;
    event.detail = std::string("a report without CommandUUID: ") + proto::status_name(report.status) + ' ' +
                   report.detail;
    store::record_event(context.db, event, context.now);
  });
  return {};
}

MdmAnswer settle(MdmContext& context, Presented const& presented, Admission const& admission,
                 Report const& report, std::string_view body) {
  auto const& channel = *admission.sender.channel;
  store::SettleRequest request;
  request.enrollment_id = channel.id;
  request.uuid = report.command_uuid;
  request.status = proto::status_name(report.status);
  if (report.status != ReportStatus::oversized && body.size() <= kLargestKept)
    request.body = store::seal_report(context.keys.message, channel.id, report.command_uuid, body);
  request.event = event_name(report.status);
  request.external_id = report.ids.external();
  request.detail = report.detail;
  request.touch = seen_long_ago(context, channel);
  auto const settled = store::settle_report(context.db, request, context.now);
  context.trace.outcome = settled.outcome;
  return hand_out(context, presented, admission, settled.next);
}

// nullopt: this channel is served. Else why it only gets an empty answer.
std::optional<std::string> nothing_for(Admission const& admission) {
  if (admission.sender.device->state == EnrollmentState::pending) return admission.reason;
  if (!admission.sender.channel) return "a user channel without TokenUpdate";
  return std::nullopt;
}

}  // namespace

MdmAnswer handle_report(MdmContext& context, Presented const& presented, std::string_view body) {
  Report const report = proto::decode_report(body, std::min(context.config.message_limit, kLargestKept));
  context.trace.id = report.ids.external();
  context.trace.message = proto::status_name(report.status);
  context.trace.command_uuid = report.command_uuid;
  bool const is_idle = report.status == ReportStatus::idle;
  Admission admission = admit(context, presented, report.ids, {is_idle, false});
  if (admission.first_sight) context.db.transaction([&] { adopt_renewal(context, admission, presented); });
  if (auto const why = nothing_for(admission)) {
    context.trace.outcome = *why;
    return {};
  }
  auto const& channel = *admission.sender.channel;
  if (channel.state != EnrollmentState::current)
    throw sys::Error(sys::Fault::unauthenticated, "identity: the user channel was checked out");
  if (channel.push_dead) store::revive_push(context.db, channel.id, context.now);
  if (is_idle) return idle(context, presented, admission);
  if (report.command_uuid.empty()) return keep_nameless(context, admission, report, body);
  return settle(context, presented, admission, report, body);
}

}  // namespace service
