#include "service/checkin.hpp"

#include "service/authenticate.hpp"
#include "service/generation.hpp"
#include "store/certificates.hpp"
#include "store/escrow.hpp"
#include "store/events.hpp"
#include "store/messages.hpp"
#include "store/push_due.hpp"
#include "sys/crash_point.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::Enrollment;
using store::EnrollmentState;
using sys::Error;
using sys::Fault;

struct Message {
  MdmContext& context;
  Presented const& presented;
  proto::CheckIn const& checkin;
  std::string_view raw;
};

void record(Message const& message, Enrollment const& row, std::string const& what,
            std::string const& detail) {
  store::Event event{what, "device"};
  event.external_id = row.external_id;
  event.enrollment_id = row.id;
  event.certificate_sha256 = message.presented.sha256;
  event.detail = detail;
  store::record_event(message.context.db, event, message.context.now);
}

void keep(Message const& message, Enrollment const& row) {
  store::put_message(message.context.db, message.context.keys.message, row.id, message.checkin.type,
                     message.raw, message.context.now);
}

void device_channel_only(Message const& message) {
  if (message.checkin.ids.is_user())
    throw Error(Fault::bad_request, "check-in: " + message.checkin.type + " on a user channel");
}

// The device channel under its lock. It may have ended since it was admitted.
Enrollment lock_device(Message const& message, Admission const& admission) {
  auto row = store::find_enrollment(message.context.db, admission.device.id, store::Lock::update);
  bool const lives =
      row && (row->state == EnrollmentState::current || row->state == EnrollmentState::pending);
  if (!lives) throw Error(Fault::unauthenticated, "identity: the enrolment has just ended");
  return *std::move(row);
}

Enrollment user_row(Message const& message, Enrollment const& device) {
  auto& context = message.context;
  auto const& ids = message.checkin.ids;
  auto found = store::find_user_channel(context.db, device.id, ids.external(), store::Lock::update);
  if (found) {
    if (found->state != device.state) store::reopen_user_channel(context.db, found->id);
    return *std::move(found);
  }
  Enrollment row;
  row.uuid = sys::random_uuid();
  row.device_id = device.device_id;
  row.generation = device.generation;
  row.parent_id = device.id;
  row.channel = ids.channel;
  row.external_id = ids.external();
  row.state = device.state;
  row.auth = device.auth;
  row.topic = device.topic;
  row.user_short_name = ids.user_short_name;
  row.user_long_name = ids.user_long_name;
  row.profile_id = device.profile_id;
  row.created_at = context.now;
  row.id = store::insert_enrollment(context.db, row);
  return row;
}

bool says_nothing_new(Enrollment const& row, proto::TokenUpdate const& update) {
  return row.token_update_tally > 0 && row.push_token == update.token &&
         row.push_magic == update.push_magic && row.awaiting_configuration == update.awaiting_configuration;
}

void apply_token_update(Message const& message, Admission const& admission,
                        proto::TokenUpdate const& update) {
  auto& context = message.context;
  Enrollment const device = lock_device(message, admission);
  adopt_renewal(context, admission, message.presented);
  Enrollment const row = message.checkin.ids.is_user() ? user_row(message, device) : device;
  bool const repeated = says_nothing_new(row, update);
  if (repeated) {
    store::mark_enrollment_seen(context.db, row.id, context.now);
  } else {
    store::update_tokens(context.db, row.id, {update.token, update.push_magic, update.awaiting_configuration},
                         message.checkin.ids, context.now);
    keep(message, row);
    record(message, row, "enrollment.token-update",
           row.token_update_tally == 0 ? "the first one: the enrolment is usable" : "");
  }
  context.trace.outcome = repeated ? "repeated" : "updated";
  if (device.state != EnrollmentState::current) return;
  store::register_push(context.db, row.id, context.now);
  if (!row.parent_id) escrow_unlock_token(context.db, context.keys.escrow, row, update, context.now);
}

MdmAnswer token_update(Message const& message, proto::TokenUpdate const& update) {
  auto& context = message.context;
  Admission const admission = admit(context, message.presented, message.checkin.ids, {});
  check_topic(context, message.presented, message.checkin.ids, admission, update.topic);
  context.db.transaction([&] {
    apply_token_update(message, admission, update);
    sys::crash_point("token-update-written");
  });
  sys::crash_point("token-update-committed");
  return {};
}

MdmAnswer check_out(Message const& message) {
  auto& context = message.context;
  Admission const admission = admit(context, message.presented, message.checkin.ids, {false, true});
  context.trace.outcome = "repeated";
  if (admission.device.state == EnrollmentState::checked_out) return {};
  context.db.transaction([&] {
    Enrollment const device = lock_device(message, admission);
    adopt_renewal(context, admission, message.presented);
    if (!message.checkin.ids.is_user()) {
      end_generation(context.db, device.id, EnrollmentState::checked_out, context.now);
      keep(message, device);
      record(message, device, "enrollment.checked-out", "");
    } else {
      auto const user = store::find_user_channel(context.db, device.id, message.checkin.ids.external());
      if (!user || user->state == EnrollmentState::checked_out) return;
      store::close_user_channel(context.db, user->id, context.now);
      keep(message, *user);
      record(message, *user, "enrollment.checked-out", "user channel");
    }
    context.trace.outcome = "checked out";
    sys::crash_point("check-out-written");
  });
  sys::crash_point("check-out-committed");
  return {};
}

MdmAnswer set_bootstrap_token(Message const& message, proto::SetBootstrapToken const& wanted) {
  auto& context = message.context;
  device_channel_only(message);
  Admission const admission = admit(context, message.presented, message.checkin.ids, {});
  context.db.transaction([&] {
    Enrollment const device = lock_device(message, admission);
    adopt_renewal(context, admission, message.presented);
    keep(message, device);
    context.trace.outcome = "kept until approval";
    if (device.state != EnrollmentState::current) return;
    store::EscrowOwner const owner{device.id, device.uuid};
    if (wanted.token.empty()) {
      bool const erased =
          store::erase_escrow(context.db, context.keys.escrow, owner, store::EscrowKind::bootstrap_token);
      context.trace.outcome = erased ? "erased" : "nothing to erase";
      if (erased) record(message, device, "escrow.erased", "bootstrap-token");
    } else {
      store::put_escrow(context.db, context.keys.escrow, owner, store::EscrowKind::bootstrap_token,
                        wanted.token, context.now);
      context.trace.outcome = "escrowed";
      record(message, device, "escrow.stored", "bootstrap-token");
    }
    sys::crash_point("bootstrap-token-written");
  });
  sys::crash_point("bootstrap-token-committed");
  return {};
}

MdmAnswer get_bootstrap_token(Message const& message) {
  auto& context = message.context;
  device_channel_only(message);
  Admission const admission = admit(context, message.presented, message.checkin.ids, {});
  if (admission.first_sight)
    context.db.transaction([&] { adopt_renewal(context, admission, message.presented); });
  auto const& device = admission.device;
  bool const served = admission.ruling == Ruling::serve && is_fresh(message.presented, context.now);
  sys::SecretBytes token;
  if (served) {
    auto stored = store::get_escrow(context.db, context.keys.escrow, {device.id, device.uuid},
                                    store::EscrowKind::bootstrap_token);
    if (stored) token = *std::move(stored);
  }
  context.trace.outcome = token.empty() ? "no token" : "token handed out";
  if (admission.ruling == Ruling::serve && !served)
    context.trace.outcome = "no token: the signature may be a recorded one";
  return {false, proto::bootstrap_token_answer(token)};
}

MdmAnswer user_authenticate(Message const& message) {
  auto& context = message.context;
  Admission const admission = admit(context, message.presented, message.checkin.ids, {});
  if (admission.first_sight)
    context.db.transaction([&] { adopt_renewal(context, admission, message.presented); });
  context.trace.outcome = "user declined";
  return {true, {}};
}

MdmAnswer unsupported(Message const& message) {
  admit(message.context, message.presented, message.checkin.ids, {});
  throw Error(Fault::bad_request, "check-in: MessageType " + message.checkin.type + " is not served");
}

}  // namespace

void escrow_unlock_token(sys::Db& db, sys::KeyRing const& escrow_key, Enrollment const& device,
                         proto::TokenUpdate const& update, sys::Time now) {
  if (update.unlock_token.empty()) return;
  store::put_escrow(db, escrow_key, {device.id, device.uuid}, store::EscrowKind::unlock_token,
                    update.unlock_token, now);
}

MdmAnswer check_in(MdmContext& context, Presented const& presented, proto::CheckIn const& checkin,
                   std::string_view raw) {
  Message const message{context, presented, checkin, raw};
  if (std::holds_alternative<proto::Authenticate>(checkin.message)) {
    authenticate(context, presented, checkin, raw);
    return {};
  }
  if (auto const* update = std::get_if<proto::TokenUpdate>(&checkin.message))
    return token_update(message, *update);
  if (auto const* wanted = std::get_if<proto::SetBootstrapToken>(&checkin.message))
    return set_bootstrap_token(message, *wanted);
  if (std::holds_alternative<proto::CheckOut>(checkin.message)) return check_out(message);
  if (std::holds_alternative<proto::GetBootstrapToken>(checkin.message)) return get_bootstrap_token(message);
  if (std::holds_alternative<proto::UserAuthenticate>(checkin.message)) return user_authenticate(message);
  return unsupported(message);
}

}  // namespace service
