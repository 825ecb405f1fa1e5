#include "service/report.hpp"

#include <algorithm>

#include "proto/command.hpp"
#include "service/render.hpp"
#include "store/commands.hpp"
#include "store/events.hpp"
#include "store/messages.hpp"
#include "store/push.hpp"
#include "store/results.hpp"
#include "sys/crash_point.hpp"
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

MdmAnswer body_of(Session const& session, store::NextCommand const& next) {
  auto& context = session.context;
  if (!next.rendered && next.body) {
    context.trace.handed_out = next.uuid;
    return {false, store::open_command(context.keys.message, next.uuid, *next.body)};
  }
  auto rendered = render(context, session.presented, session.admission, next);
  if (!rendered) return {};
  context.trace.handed_out = next.uuid;
  return {false, *std::move(rendered)};
}

// The body of the answer. Nothing for who is held back, has not sent its first TokenUpdate, or replays.
MdmAnswer hand_out(Session const& session, std::optional<store::NextCommand> const& next) {
  if (!next) return {};
  if (session.admission.ruling != Ruling::serve || session.channel.token_update_tally == 0) return {};
  if (!signed_in_time(session.presented, session.context.now)) {
    session.context.trace.outcome += ", signed at another time: no command";
    return {};
  }
  return body_of(session, *next);
}

// An expired identity: its renewal, wherever in the queue that stands, and nothing else.
MdmAnswer idle_in_grace(Session const& session) {
  auto& context = session.context;
  context.trace.outcome = "idle, " + session.admission.reason;
  if (seen_long_ago(session)) {
    context.db.transaction([&] {
      store::mark_enrollment_seen(context.db, session.channel.id, context.now);
      store::Event event{"identity.grace", "device"};
      event.external_id = session.admission.device.external_id;
      event.enrollment_id = session.channel.id;
      event.certificate_sha256 = session.presented.sha256;
      event.detail = session.admission.reason + "; it gets its renewal and nothing else";
      store::record_event(context.db, event, context.now);
    });
  }
  auto const renewal = store::next_rendered(context.db, session.channel.id, store::kRenewRenderer);
  if (!renewal) {
    context.trace.outcome += ", no renewal is queued";
    return {};
  }
  return body_of(session, *renewal);
}

MdmAnswer idle(Session const& session) {
  auto& context = session.context;
  auto const& admission = session.admission;
  if (admission.ruling == Ruling::renew_only) return idle_in_grace(session);
  bool const served = admission.ruling == Ruling::serve;
  bool const new_session = served && admission.not_now;
  if (new_session) {
    store::reopen_not_now(context.db, session.channel.id);
    sys::crash_point("not-now-reopened");
  }
  if (seen_long_ago(session)) store::mark_enrollment_seen(context.db, session.channel.id, context.now);
  context.trace.outcome = served ? "idle" : "idle, " + admission.reason;
  if (new_session) return hand_out(session, store::next_command(context.db, session.channel.id));
  return hand_out(session, admission.next);
}

bool to_be_kept(Report const& report, std::string_view body) {
  return report.status != ReportStatus::oversized && body.size() <= kLargestKept;
}

// Such a report names no delivery, so it settles none. The session ends here: the command that it may answer
// would be handed out again at once, and so on for ever.
MdmAnswer keep_nameless(Session const& session, Report const& report, std::string_view body) {
  auto& context = session.context;
  context.trace.outcome = "no CommandUUID";
  context.db.transaction([&] {
    if (to_be_kept(report, body))
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
  if (to_be_kept(report, body))
    request.body = store::seal_report(context.keys.message, session.channel.id, report.command_uuid, body);
  request.event = event_name(report.status);
  request.external_id = report.ids.external();
  constexpr std::size_t kLongestDetail = 2000;  // as store::record_event
  request.detail = proto::cut_text(sys::escape_controls(report.detail), kLongestDetail);
  request.touch = seen_long_ago(session);
  sys::crash_point("report-sealed");
  auto const settled = store::settle_report(context.db, request, context.now);
  sys::crash_point("report-settled");
  context.trace.outcome = settled.outcome;
  try {
    return hand_out(session, settled.next);
  } catch (sys::Error const& error) {
    // The report is stored, and the device must hear so; the command that could not be made stays in the
    // queue.
    context.trace.outcome += std::string(", but the next command could not be made: ") + error.what();
    return {};
  }
}

}  // namespace

MdmAnswer handle_report(MdmContext& context, Presented const& presented, std::string_view body) {
  Report const report = proto::decode_report(body, std::min(context.config.message_limit, kLargestKept));
  context.trace.id = report.ids.external();
  context.trace.message = proto::status_name(report.status);
  context.trace.command_uuid = report.command_uuid;
  bool const is_idle = report.status == ReportStatus::idle;
  Admission const admission = admit(context, presented, report.ids, {is_idle, false, true});
  if (admission.first_sight) {
    context.db.transaction([&] { adopt_renewal(context, admission, presented); });
    sys::crash_point("renewal-seen-in-session");
  }
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
