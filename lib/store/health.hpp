// Counts by which an admin's monitoring sees whether work gets done. Looks at whole tables: for checks every
// few minutes, not for requests.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

struct QueueHealth {
  std::int64_t queued = 0;
  std::int64_t not_now = 0;  // the device asked to come again
  std::int64_t held = 0;
  std::optional<sys::Time> oldest;  // since when the longest waiting of the first two waits
  std::int64_t frozen = 0;          // device channels that are served nothing: identity.conflict
};
QueueHealth queue_health(sys::Db& db);

struct PushHealth {
  std::int64_t due = 0;
  std::optional<sys::Time> oldest_due;
  std::int64_t failing = 0;  // the last push failed
  std::int64_t dead = 0;     // APNs called the token dead
};
PushHealth push_health(sys::Db& db, sys::Time now);

std::map<std::string, std::int64_t> devices_by_state(sys::Db& db);  // device channels
std::map<std::string, std::int64_t> results_by_status(sys::Db& db);

}  // namespace store
