#include "store/push_due.hpp"

namespace store {

void register_push(sys::Db& db, std::int64_t enrollment_id, sys::Time now) {
  db.execute(
      "INSERT INTO push_state (enrollment_id, due_at) "
      "SELECT ?, IF(EXISTS(SELECT 1 FROM queue WHERE enrollment_id = ? AND state = 'queued'), ?, NULL) "
      "ON DUPLICATE KEY UPDATE due_at = COALESCE(VALUES(due_at), due_at), attempts = 0, dead_since = NULL",
      {enrollment_id, enrollment_id, now});
}

void silence_push(sys::Db& db, std::int64_t device_channel_id) {
  db.execute(
      "UPDATE push_state p JOIN enrollments e ON e.id = p.enrollment_id SET p.due_at = NULL "
      "WHERE e.id = ? OR e.parent_id = ?",
      {device_channel_id, device_channel_id});
}

}  // namespace store
