// What an admin does to outstanding deliveries: cancel, hold, release, change the priority.
//
// Each function takes one delivery, by enrolment and command, and changes it only if it is still outstanding
// and not so already: it locks the delivery by the key that settle_report locks it by, so whoever comes first
// wins and the other finds it gone. To be used inside a transaction, with the events that tell about it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

// One delivery in a queue, and what an event says of it.
struct Outstanding {
  std::int64_t queue_id = 0;
  std::int64_t enrollment_id = 0;
  std::int64_t command_id = 0;
  std::string external_id = {};
  std::string command_uuid = {};
  std::string request_type = {};
  bool renews = false;  // the command is a renewal: a ticket may be out for it
};
struct OutstandingFilter {
  std::optional<std::int64_t> command_id = {};
  std::optional<std::int64_t> enrollment_id = {};
  bool held_only = false;
  std::int64_t above_id = 0;  // the cursor of a page
  std::int64_t limit = 1000;
};
// By queue id. Read without a lock: some may be gone when they are to be changed.
std::vector<Outstanding> list_outstanding(sys::Db& db, OutstandingFilter const& filter);

// How much a change would reach.
struct OutstandingCount {
  std::int64_t deliveries = 0;
  std::int64_t enrollments = 0;
};
OutstandingCount count_outstanding(sys::Db& db, OutstandingFilter const& filter);

// Out of the queue and into `results` as cancelled. False: it was not outstanding any more.
bool cancel_delivery(sys::Db& db, Outstanding const& delivery, std::string_view who, sys::Time now);
// False: it was held already, or is gone.
bool hold_delivery(sys::Db& db, Outstanding const& delivery);
// Back to its place in the order, which its time of enqueueing gives. False: it was not held.
bool release_delivery(sys::Db& db, Outstanding const& delivery);
// False: it had that priority, or is gone.
bool set_priority(sys::Db& db, Outstanding const& delivery, int priority);

// A delivery that add_to_queue() has just made, in the same transaction.
void drop_delivery(sys::Db& db, std::int64_t enrollment_id, std::int64_t command_id);

}  // namespace store
