#include "service/enrollment.hpp"

#include <algorithm>

#include "proto/checkin.hpp"
#include "service/checkin.hpp"
#include "service/generation.hpp"
#include "store/certificates.hpp"
#include "store/devices.hpp"
#include "store/escrow.hpp"
#include "store/events.hpp"
#include "store/messages.hpp"
#include "store/push_due.hpp"
#include "sys/crash_point.hpp"
#include "sys/error.hpp"

namespace service {

namespace {

using store::Enrollment;
using store::EnrollmentState;
using sys::Error;
using sys::Fault;

std::string quoted_state(EnrollmentState state) { return std::string(store::enrollment_state_name(state)); }

// The row under the lock of its device, if it still is what the admin saw.
Enrollment lock_row(sys::Db& db, std::int64_t id, EnrollmentState state) {
  auto row = store::find_enrollment(db, id);
  if (row) static_cast<void>(store::find_device(db, row->external_id, store::Lock::update));
  row = store::find_enrollment(db, id, store::Lock::update);
  if (!row || row->state != state)
    throw Error(Fault::conflict, "enrolment: it is " + quoted_state(state) + " no longer; look at it again");
  return *std::move(row);
}

void record(sys::Db& db, Decision const& decision, Enrollment const& row, std::string const& what,
            std::string const& detail, sys::Time now) {
  store::Event event{what, decision.who};
  event.external_id = row.external_id;
  event.enrollment_id = row.id;
  event.detail = detail;
  store::record_event(db, event, now);
}

std::string generation_text(Enrollment const& row) { return "generation " + std::to_string(row.generation); }

// The newest message of its type that brings something decides, as it would have when it came.
void replay_escrow(sys::Db& db, sys::KeyRing const& message_key, sys::KeyRing const& escrow_key,
                   Enrollment const& row, sys::Time now) {
  constexpr std::int64_t kMost = 1000;
  constexpr std::size_t kLimit = 64U << 20U;
  for (auto const& body : store::messages_of(db, message_key, row.id, "TokenUpdate", kMost)) {
    auto const checkin = proto::decode_checkin(body.view(), kLimit);
    auto const& update = std::get<proto::TokenUpdate>(checkin.message);
    if (update.unlock_token.empty()) continue;
    escrow_unlock_token(db, escrow_key, row, update, now);
    break;
  }
  for (auto const& body : store::messages_of(db, message_key, row.id, "SetBootstrapToken", 1)) {
    auto const checkin = proto::decode_checkin(body.view(), kLimit);
    auto const& wanted = std::get<proto::SetBootstrapToken>(checkin.message);
    if (!wanted.token.empty())
      store::put_escrow(db, escrow_key, {row.id, row.uuid}, store::EscrowKind::bootstrap_token, wanted.token,
                        now);
  }
}

void register_channels(sys::Db& db, Enrollment const& device_channel, sys::Time now) {
  if (device_channel.token_update_tally > 0) store::register_push(db, device_channel.id, now);
  for (auto const& user : store::channels_of(db, device_channel.id)) {
    if (user.state == EnrollmentState::current && user.token_update_tally > 0)
      store::register_push(db, user.id, now);
  }
}

std::optional<Enrollment> replaced_before(sys::Db& db, Enrollment const& row) {
  for (auto const& other : store::generations_of(db, row.device_id)) {
    if (other.state == EnrollmentState::replaced && other.generation < row.generation) return other;
  }
  return std::nullopt;
}

void keep_old(sys::Db& db, Decision const& decision, Enrollment const& frozen, sys::Time now) {
  auto const old = replaced_before(db, frozen);
  if (!old) throw Error(Fault::not_found, "enrolment: no replaced generation is left to be kept");
  end_generation(db, frozen.id, EnrollmentState::rejected, now);
  store::set_frozen(db, frozen.id, false);
  store::revoke_identities(db, frozen.id, "conflict", now);
  store::make_current(db, old->id, EnrollmentState::replaced);
  register_channels(db, *old, now);
  record(db, decision, *old, "enrollment.resolved",
         generation_text(*old) + " is served again, " + generation_text(frozen) + " was rejected", now);
}

void keep_new(sys::Db& db, Decision const& decision, Enrollment const& frozen, sys::Time now) {
  for (auto const& other : store::generations_of(db, frozen.device_id)) {
    if (other.state == EnrollmentState::replaced) store::revoke_identities(db, other.id, "conflict", now);
  }
  store::set_frozen(db, frozen.id, false);
  record(db, decision, frozen, "enrollment.resolved",
         generation_text(frozen) + " is served, the identities of older ones were revoked", now);
}

}  // namespace

Enrollment find_device_channel(sys::Db& db, std::string_view id, EnrollmentState state) {
  auto all = store::enrollments_with_id(db, id);
  if (all.empty()) {
    if (auto row = store::find_enrollment_by_uuid(db, id)) all.push_back(*std::move(row));
  }
  if (all.empty()) {
    throw Error(Fault::not_found, "enrolment " + std::string(id) +
                                      ": there is none; `pomona enrollment list` shows those there are");
  }
  if (all.front().parent_id)
    throw Error(Fault::not_found,
                "enrolment " + std::string(id) + " is a user channel; name the device's id");
  std::string const found = quoted_state(all.front().state);
  std::erase_if(all, [&](Enrollment const& row) { return row.state != state; });
  if (all.empty())
    throw Error(Fault::not_found,
                "enrolment " + std::string(id) + " is " + found + ", not " + quoted_state(state));
  if (all.size() > 1) {
    throw Error(Fault::conflict, "enrolment " + std::string(id) + ": " + std::to_string(all.size()) +
                                     " generations are " + quoted_state(state) +
                                     "; name one by its uuid, which `pomona enrollment list --json` shows");
  }
  return all.front();
}

Enrollment find_any(sys::Db& db, std::string_view id) {
  auto const all = store::enrollments_with_id(db, id);
  auto const current = std::find_if(
      all.begin(), all.end(), [](Enrollment const& row) { return row.state == EnrollmentState::current; });
  if (current != all.end()) return *current;
  if (!all.empty()) return all.front();
  if (auto row = store::find_enrollment_by_uuid(db, id)) return *std::move(row);
  throw Error(Fault::not_found, "enrolment " + std::string(id) +
                                    ": there is none; `pomona enrollment list` shows those there are");
}

void approve(sys::Db& db, sys::KeyRing const& message_key, sys::KeyRing const& escrow_key,
             Decision const& decision, sys::Time now) {
  db.transaction([&] {
    auto const row = lock_row(db, decision.enrollment_id, EnrollmentState::pending);
    auto const standing = store::find_standing(db, row.device_id);
    if (standing && standing->state == EnrollmentState::current)
      end_generation(db, standing->id, EnrollmentState::replaced, now);
    store::make_current(db, row.id, EnrollmentState::pending);
    reject_pending(db, row.device_id, row.id, now);
    replay_escrow(db, message_key, escrow_key, row, now);
    register_channels(db, row, now);
    record(db, decision, row, "enrollment.approved", generation_text(row), now);
    sys::crash_point("approval-written");
  });
  sys::crash_point("approval-committed");
}

void reject(sys::Db& db, Decision const& decision, sys::Time now) {
  db.transaction([&] {
    auto const row = lock_row(db, decision.enrollment_id, EnrollmentState::pending);
    end_generation(db, row.id, EnrollmentState::rejected, now);
    store::revoke_identities(db, row.id, "rejected", now);
    record(db, decision, row, "enrollment.rejected", generation_text(row), now);
  });
}

void resolve(sys::Db& db, Decision const& decision, Keep keep, sys::Time now) {
  db.transaction([&] {
    auto const row = lock_row(db, decision.enrollment_id, EnrollmentState::current);
    if (!row.frozen) throw Error(Fault::not_found, "enrolment: no identity conflict is open");
    if (keep == Keep::old_one) {
      keep_old(db, decision, row, now);
    } else {
      keep_new(db, decision, row, now);
    }
  });
}

void disable(sys::Db& db, Decision const& decision, sys::Time now) {
  db.transaction([&] {
    auto const row = lock_row(db, decision.enrollment_id, EnrollmentState::current);
    end_generation(db, row.id, EnrollmentState::disabled, now);
    record(db, decision, row, "enrollment.disabled", generation_text(row), now);
  });
}

}  // namespace service
