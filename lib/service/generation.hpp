// The end of a generation of an enrolment, whoever ends it. Inside a transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/enrollments.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

// Closes the device channel with its user channels: no more pushes, open renewals cancelled. Its queue stays
// as it is and is never offered again.
void end_generation(sys::Db& db, std::int64_t device_channel_id, store::EnrollmentState as, sys::Time now);

// Generations of the device that wait for approval, but `except`: rejected, their identities revoked.
void reject_pending(sys::Db& db, std::int64_t device_id, std::optional<std::int64_t> except, sys::Time now);

}  // namespace service
