#include "store/push_due.hpp"

namespace store {

void register_push(sys::Db& db, std::int64_t enrollment_id, sys::Time now) {
  db.execute(
      "INSERT INTO push_state (enrollment_id, topic, due_at) SELECT e.id, e.topic, IF(EXISTS(SELECT 1 FROM "
      "queue q WHERE q.enrollment_id = e.id AND q.state IN ('queued','not-now')), ?, NULL) FROM enrollments "
      "e "
      "WHERE e.id = ? ON DUPLICATE KEY UPDATE due_at = COALESCE(VALUES(due_at), due_at), topic = "
      "VALUES(topic), attempts = 0, unanswered = 0, dead_since = NULL, doubted_since = NULL",
      {now, enrollment_id});
}

void silence_push(sys::Db& db, std::int64_t device_channel_id) {
  db.execute(
      "UPDATE push_state p JOIN enrollments e ON e.id = p.enrollment_id SET p.due_at = NULL, p.unanswered = "
      "0, "
      "p.lease_owner = NULL, p.lease_until = NULL WHERE e.id = ? OR e.parent_id = ?",
      {device_channel_id, device_channel_id});
}

}  // namespace store
