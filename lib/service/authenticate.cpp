#include "service/authenticate.hpp"

#include "service/generation.hpp"
#include "store/certificates.hpp"
#include "store/devices.hpp"
#include "store/events.hpp"
#include "store/messages.hpp"
#include "sys/crash_point.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::EnrollmentState;

struct Attempt {
  MdmContext& context;
  Presented const& presented;
  proto::Ids const& ids;
  proto::Authenticate const& message;
  std::string_view raw;
};

Newcomer read_newcomer(Attempt const& attempt, store::Sender::Identity const& identity, store::Lock lock) {
  auto& db = attempt.context.db;
  Newcomer facts;
  if (!identity.ticket_id) return facts;
  facts.ticket = store::find_ticket(db, *identity.ticket_id, lock);
  if (facts.ticket && facts.ticket->enrollment_id) {
    auto const named = store::find_enrollment(db, *facts.ticket->enrollment_id);
    if (named && named->channel == attempt.ids.channel) facts.named_device = named->external_id;
  }
  auto const device = store::find_device(db, attempt.ids.device);
  if (device) facts.standing = store::find_standing(db, device->id);
  facts.own_identity = facts.standing && identity.enrollment_id == facts.standing->id &&
                       facts.standing->state == EnrollmentState::current;
  return facts;
}

NewcomerDecision decide(Attempt const& attempt, Newcomer const& facts) {
  return decide_newcomer(facts, attempt.ids, attempt.message, attempt.presented.proof,
                         attempt.context.config.reenrollment);
}

store::Enrollment new_row(Attempt const& attempt, std::int64_t device_id, store::Ticket const& ticket,
                          EnrollmentState state) {
  auto& db = attempt.context.db;
  store::Enrollment row;
  row.uuid = sys::random_uuid();
  row.device_id = device_id;
  row.generation = store::next_generation(db, device_id);
  row.channel = attempt.ids.channel;
  row.external_id = attempt.ids.device;
  row.state = state;
  row.auth = ticket.auth;
  row.topic = ticket.topic;
  row.profile_id = store::profile_of_ticket(db, ticket.id);
  row.created_at = attempt.context.now;
  return row;
}

void bind(Attempt const& attempt, store::Sender::Identity const& identity, store::Enrollment const& row) {
  auto& db = attempt.context.db;
  bool const bound = identity.enrollment_id
                         ? store::rebind_to_enrollment(db, identity.id, *identity.enrollment_id, row.id)
                         : store::bind_to_enrollment(db, identity.id, row.id);
  if (!bound)
    throw sys::Error(sys::Fault::unauthenticated,
                     "identity: revoked or bound to another enrolment meanwhile");
  store::mark_seen(db, identity.id, attempt.context.now);
  if (identity.ticket_id) store::close_ticket(db, *identity.ticket_id);
}

void record(Attempt const& attempt, store::Enrollment const& row, std::string const& what,
            std::string const& detail, std::optional<std::int64_t> ticket_id) {
  store::Event event{what, "device"};
  event.external_id = row.external_id;
  event.enrollment_id = row.id;
  event.serial_number = attempt.message.serial_number;
  event.certificate_sha256 = attempt.presented.sha256;
  event.ticket_id = ticket_id;
  event.detail = detail;
  store::record_event(attempt.context.db, event, attempt.context.now);
}

void replace_standing(Attempt const& attempt, Newcomer const& facts, std::int64_t device_id) {
  auto& context = attempt.context;
  if (facts.standing && facts.standing->state == EnrollmentState::current) {
    end_generation(context.db, facts.standing->id, EnrollmentState::replaced, context.now);
    record(attempt, *facts.standing, "enrollment.replaced",
           "generation " + std::to_string(facts.standing->generation) + " was replaced by a new enrolment",
           {});
  }
  reject_pending(context.db, device_id, std::nullopt, context.now);
}

// Inside the transaction, after a first decision to let the newcomer in: locks the device, decides again on
// what is true under the lock, writes.
std::string enroll(Attempt const& attempt, store::Sender::Identity const& identity) {
  auto& context = attempt.context;
  std::int64_t const device_id = store::keep_device(context.db, attempt.ids, attempt.message, context.now);
  auto const device = store::find_device(context.db, device_id);
  bool const by_enrollment_id = attempt.ids.channel == proto::Channel::user_enrollment_device;
  if (!device || device->user_enrollment != by_enrollment_id)
    throw sys::Error(sys::Fault::unauthenticated, "identity: the id belongs to a device of another kind");
  Newcomer const facts = read_newcomer(attempt, identity, store::Lock::none);
  NewcomerDecision const decision = decide(attempt, facts);
  if (decision.effect == NewcomerEffect::refuse || !facts.ticket)
    throw sys::Error(sys::Fault::unauthenticated, "identity: " + decision.reason);
  bool const at_once = decision.effect == NewcomerEffect::enroll;
  if (at_once) replace_standing(attempt, facts, device_id);
  auto row = new_row(attempt, device_id, *facts.ticket,
                     at_once ? EnrollmentState::current : EnrollmentState::pending);
  row.id = store::insert_enrollment(context.db, row);
  sys::crash_point("generation-inserted");
  bind(attempt, identity, row);
  store::put_message(context.db, context.keys.message, row.id, "Authenticate", attempt.raw, context.now);
  std::string const generation = "generation " + std::to_string(row.generation);
  record(attempt, row, at_once ? "enrollment.new" : "enrollment.pending",
         at_once ? generation : generation + " waits for `pomona enrollment approve`", identity.ticket_id);
  return at_once ? "enrolled" : "waits for approval";
}

// One try for a certificate that is bound to nothing: refused with nothing written, or let in.
Verdict try_newcomer(Attempt const& attempt, store::Sender const& sender, std::string& outcome) {
  auto const& context = attempt.context;
  Verdict verdict = judge_identity(sender, attempt.presented, context.config, context.now);
  if (verdict.expired) verdict = {Ruling::refuse, "certificate outside of its dates"};
  if (verdict.ruling == Ruling::refuse || !sender.identity) return verdict;
  return context.db.transaction([&] {
    auto const& identity = *sender.identity;
    NewcomerDecision const decision = decide(attempt, read_newcomer(attempt, identity, store::Lock::update));
    Verdict result;
    if (decision.effect == NewcomerEffect::refuse) {
      result.ruling = Ruling::refuse;
      result.reason = decision.reason;
      result.event = "identity.refused";
    } else {
      outcome = enroll(attempt, identity);
      sys::crash_point("generation-written");
    }
    return result;
  });
}

// A renewal, or the same Authenticate once more.
void authenticate_bound(Attempt const& attempt) {
  auto& context = attempt.context;
  Admission const admission = admit(context, attempt.presented, attempt.ids, {});
  auto const& device = admission.device;
  check_topic(context, attempt.presented, attempt.ids, admission, attempt.message.topic);
  context.trace.outcome = admission.first_sight ? "renewed" : "repeated";
  if (!admission.first_sight) return;
  context.db.transaction([&] {
    adopt_renewal(context, admission, attempt.presented);
    store::keep_device(context.db, attempt.ids, attempt.message, context.now);
    store::put_message(context.db, context.keys.message, device.id, "Authenticate", attempt.raw, context.now);
    store::mark_enrollment_seen(context.db, device.id, context.now);
    sys::crash_point("renewal-authenticated");
  });
  sys::crash_point("renewal-committed");
}

// An embedded PKCS#12 identity stays the same when its profile is installed again.
bool enrolls_again(Attempt const& attempt, store::Sender const& sender) {
  if (!sender.identity || !sender.identity->ticket_id || !sender.device) return false;
  auto const& device = *sender.device;
  if (device.token_update_tally == 0 || device.state != EnrollmentState::current ||
      device.external_id != attempt.ids.device)
    return false;
  auto const ticket = store::find_ticket(attempt.context.db, *sender.identity->ticket_id);
  return ticket && ticket->identity == store::TicketIdentity::pkcs12;
}

}  // namespace

void authenticate(MdmContext& context, Presented const& presented, proto::CheckIn const& checkin,
                  std::string_view raw) {
  if (checkin.ids.is_user())
    throw sys::Error(sys::Fault::bad_request, "check-in: Authenticate on a user channel");
  Attempt const attempt{context, presented, checkin.ids, std::get<proto::Authenticate>(checkin.message), raw};
  store::Sender sender;
  Verdict verdict;
  for (bool const synced : {false, true}) {
    sender = store::find_sender(context.db, {presented.sha256, checkin.ids.device, false, synced});
    if (sender.device && !enrolls_again(attempt, sender)) return authenticate_bound(attempt);
    verdict = try_newcomer(attempt, sender, context.trace.outcome);
    if (verdict.ruling != Ruling::refuse) {
      sys::crash_point("generation-committed");
      return;
    }
  }
  refuse(context, presented, checkin.ids, sender, verdict);
}

}  // namespace service
