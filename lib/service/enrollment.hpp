// What an admin decides about enrolments: who waits is let in or turned away, a conflict of identities is
// resolved, an enrolment is ended.
//
// Each call is one transaction and an event. Error{not_found} when nothing of that id is in the state that
// the decision is about; the text says what there is instead.
#pragma once

#include <string>
#include <string_view>

#include "store/enrollments.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

// `id`: an external id, or the uuid of the enrolment where several generations share one. Device channels.
store::Enrollment find_device_channel(sys::Db& db, std::string_view id, store::EnrollmentState state);
// Any channel in any state: the current one, else the newest generation.
store::Enrollment find_any(sys::Db& db, std::string_view id);

struct Decision {
  std::int64_t enrollment_id = 0;
  std::string who;  // cli:USER, api:KEY
};

// Becomes the current generation, the old one is replaced, others that wait are rejected. What the device has
// entrusted meanwhile is taken from its stored messages.
void approve(sys::Db& db, sys::KeyRing const& message_key, sys::KeyRing const& escrow_key,
             Decision const& decision, sys::Time now);
// Its identities are revoked.
void reject(sys::Db& db, Decision const& decision, sys::Time now);

enum class Keep { old_one, new_one };
// Of the frozen generation and the one it had replaced. The identities of the other one are revoked.
void resolve(sys::Db& db, Decision const& decision, Keep keep, sys::Time now);

// Ends a current device channel with its user channels; it gets no more answers until it enrols again.
void disable(sys::Db& db, Decision const& decision, sys::Time now);

}  // namespace service
