#include "service/identity.hpp"
#include "store/devices.hpp"
#include "store/events.hpp"
#include "store/tickets.hpp"
#include "sys/crash_point.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

store::Event event_of(std::string const& what, Presented const& presented, proto::Ids const& ids,
                      std::string const& detail) {
  store::Event event{what, "device"};
  event.external_id = ids.external();
  event.certificate_sha256 = presented.sha256;
  event.detail = detail;
  return event;
}

// The generation that took the place of the one that just spoke is frozen; told once.
void freeze_successor(MdmContext& context, Presented const& presented, proto::Ids const& ids,
                      store::Sender::DeviceChannel const& spoke) {
  context.db.transaction([&] {
    static_cast<void>(store::find_device(context.db, spoke.external_id, store::Lock::update));
    auto const current = store::find_current(context.db, spoke.external_id);
    if (!current || current->id == spoke.id || !store::set_frozen(context.db, current->id, true)) return;
    store::close_renewal_tickets(context.db, current->id);
    auto event = event_of("identity.conflict", presented, ids,
                          "the identity of generation " + std::to_string(spoke.generation) +
                              " spoke; generation " + std::to_string(current->generation) +
                              " is frozen until `pomona enrollment resolve` says which one to keep");
    event.enrollment_id = current->id;
    store::record_event(context.db, event, context.now);
  });
}

void tell_refusal(MdmContext& context, Presented const& presented, proto::Ids const& ids,
                  store::Sender const& sender, Verdict const& verdict) {
  auto event = event_of(verdict.event, presented, ids, verdict.reason);
  if (sender.device) event.enrollment_id = sender.device->id;
  if (sender.identity) event.ticket_id = sender.identity->ticket_id;
  context.db.transaction([&] {
    bool const told = sender.identity && !store::take_refusal_event(
                                             context.db, sender.identity->id, verdict.event + verdict.reason,
                                             context.now, context.config.last_seen_interval);
    if (!told) store::record_event(context.db, event, context.now);
  });
}

Verdict refuse_expired() {
  Verdict verdict;
  verdict.ruling = Ruling::refuse;
  verdict.reason = "expired certificate; it fetches its renewal and does nothing else";
  verdict.event = "identity.refused";
  return verdict;
}

}  // namespace

void refuse(MdmContext& context, Presented const& presented, proto::Ids const& ids,
            store::Sender const& sender, Verdict const& verdict) {
  if (verdict.freeze && sender.device && signed_in_time(presented, context.now)) {
    freeze_successor(context, presented, ids, *sender.device);
  } else if (!verdict.event.empty()) {
    tell_refusal(context, presented, ids, sender, verdict);
  }
  throw sys::Error(sys::Fault::unauthenticated, "identity: " + verdict.reason);
}

void check_topic(MdmContext& context, Presented const& presented, proto::Ids const& ids,
                 Admission const& admission, std::string const& topic) {
  if (topic == admission.device.topic) return;
  Verdict verdict;
  verdict.ruling = Ruling::refuse;
  verdict.reason = "a topic other than the enrolment's";
  verdict.event = "identity.refused";
  store::Sender sender;
  sender.identity = admission.identity;
  sender.device = admission.device;
  refuse(context, presented, ids, sender, verdict);
}

Admission admit(MdmContext& context, Presented const& presented, proto::Ids const& ids,
                AdmitOptions const& options) {
  std::string const external = ids.external();
  store::SenderQuery query{presented.sha256, external, options.with_next, false, ids.is_user()};
  store::Sender sender;
  Verdict verdict;
  // A refusal is never decided on what another node may have changed already.
  for (bool const synced : {false, true}) {
    query.synced = synced;
    sender = store::find_sender(context.db, query);
    verdict = judge_sender(sender, presented, ids, context.config, context.now);
    if (verdict.ruling != Ruling::refuse) break;
  }
  if (verdict.checked_out && options.also_checked_out) verdict.ruling = Ruling::hold_back;
  if (verdict.expired && !options.also_expired) verdict = refuse_expired();
  if (verdict.ruling == Ruling::refuse || !sender.identity || !sender.device)
    refuse(context, presented, ids, sender, verdict);
  Admission admission{*sender.identity, *sender.device};
  admission.channel = sender.channel;
  admission.not_now = sender.not_now;
  admission.next = std::move(sender.next);
  admission.ruling = verdict.ruling;
  admission.reason = verdict.reason;
  admission.expired = verdict.expired;
  bool const current = admission.device.state == store::EnrollmentState::current;
  // One that was never seen while it was good retires nothing now.
  admission.first_sight = current && !verdict.expired && !admission.identity.first_seen_at;
  sys::crash_point("sender-admitted");
  return admission;
}

void adopt_renewal(MdmContext& context, Admission const& admission, Presented const& presented) {
  auto const& identity = admission.identity;
  auto const& device = admission.device;
  if (!admission.first_sight) return;
  if (!store::mark_seen(context.db, identity.id, context.now)) {
    auto const now = store::find_identity(context.db, presented.sha256);
    if (!now || now->status == store::CertStatus::revoked)
      throw sys::Error(sys::Fault::unauthenticated, "identity: revoked meanwhile");
    return;  // another request of the device was quicker
  }
  if (identity.ticket_id) store::close_ticket(context.db, *identity.ticket_id);
  store::retire_others(context.db, device.id, identity.id, context.now);
  store::Event event{"enrollment.renewed", "device"};
  event.external_id = device.external_id;
  event.enrollment_id = device.id;
  event.certificate_sha256 = presented.sha256;
  event.ticket_id = identity.ticket_id;
  event.detail = "a new identity was seen; the older one retires";
  store::record_event(context.db, event, context.now);
  sys::crash_point("renewal-adopted");
}

}  // namespace service
