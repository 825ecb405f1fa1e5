// What check-ins say to pomona-push beyond store/push.hpp: the row of an enrolment that became reachable, and
// the silence of one that ended.
#pragma once

#include <cstdint>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

// After a TokenUpdate: the row is there, the token counts as alive, and a push is due where commands wait.
void register_push(sys::Db& db, std::int64_t enrollment_id, sys::Time now);
// A device channel and its user channels were closed.
void silence_push(sys::Db& db, std::int64_t device_channel_id);

}  // namespace store
