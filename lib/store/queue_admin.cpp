#include "store/queue_admin.hpp"

#include "store/commands.hpp"

namespace store {

namespace {

struct Where {
  std::string text = " WHERE q.id > ?";
  sys::DbParams params = {};
};

Where where(OutstandingFilter const& filter) {
  Where where;
  where.params.emplace_back(filter.above_id);
  if (filter.command_id) {
    where.text += " AND q.command_id = ?";
    where.params.emplace_back(*filter.command_id);
  }
  if (filter.enrollment_id) {
    where.text += " AND q.enrollment_id = ?";
    where.params.emplace_back(*filter.enrollment_id);
  }
  if (filter.held_only) where.text += " AND q.state = 'held'";
  return where;
}

}  // namespace

std::vector<Outstanding> list_outstanding(sys::Db& db, OutstandingFilter const& filter) {
  auto wanted = where(filter);
  wanted.params.emplace_back(filter.limit);
  auto const rows = db.query(
      "SELECT q.id, q.enrollment_id, q.command_id, e.external_id, c.uuid, c.request_type, c.renderer FROM "
      "queue q JOIN enrollments e ON e.id = q.enrollment_id JOIN commands c ON c.id = q.command_id" +
          wanted.text + " ORDER BY q.id LIMIT ?",
      wanted.params);
  std::vector<Outstanding> all;
  for (auto const& row : rows) {
    all.push_back({row.integer(0), row.integer(1), row.integer(2), row.text(3), row.text(4), row.text(5),
                   row.maybe_text(6) == kRenewRenderer});
  }
  return all;
}

OutstandingCount count_outstanding(sys::Db& db, OutstandingFilter const& filter) {
  auto const wanted = where(filter);
  auto const row = db.query_row("SELECT COUNT(*), COUNT(DISTINCT q.enrollment_id) FROM queue q" + wanted.text,
                                wanted.params);
  if (!row) return {};
  return {row->integer(0), row->integer(1)};
}

bool cancel_delivery(sys::Db& db, Outstanding const& delivery, std::string_view who, sys::Time now) {
  auto const was = db.query_row(
      "DELETE FROM queue WHERE enrollment_id = ? AND command_id = ? RETURNING enqueued_at, not_now_count",
      {delivery.enrollment_id, delivery.command_id});
  if (!was) return false;
  // There is a row already where the device had reported this CommandUUID before it was queued here.
  db.execute(
      "INSERT INTO results (enrollment_id, command_uuid, command_id, request_type, status, enqueued_at, "
      "not_now_count, received_at, cancelled_at, cancelled_by) VALUES (?, ?, ?, ?, 'cancelled', ?, ?, ?, ?, "
      "?) "
      "ON DUPLICATE KEY UPDATE command_id = VALUES(command_id), request_type = VALUES(request_type), status "
      "= VALUES(status), body = NULL, enqueued_at = VALUES(enqueued_at), not_now_count = "
      "VALUES(not_now_count), received_at = VALUES(received_at), cancelled_at = VALUES(cancelled_at), "
      "cancelled_by = VALUES(cancelled_by)",
      {delivery.enrollment_id, delivery.command_uuid, delivery.command_id, delivery.request_type,
       was->time(0), was->integer(1), now, now, who});
  return true;
}

bool hold_delivery(sys::Db& db, Outstanding const& delivery) {
  return db.execute(
             "UPDATE queue SET state = 'held' WHERE enrollment_id = ? AND command_id = ? AND state <> 'held'",
             {delivery.enrollment_id, delivery.command_id}) > 0;
}

bool release_delivery(sys::Db& db, Outstanding const& delivery) {
  return db.execute(
             "UPDATE queue SET state = 'queued' WHERE enrollment_id = ? AND command_id = ? AND state = "
             "'held'",
             {delivery.enrollment_id, delivery.command_id}) > 0;
}

bool set_priority(sys::Db& db, Outstanding const& delivery, int priority) {
  return db.execute(
             "UPDATE queue SET priority = ? WHERE enrollment_id = ? AND command_id = ? AND priority <> ?",
             {priority, delivery.enrollment_id, delivery.command_id, priority}) > 0;
}

void drop_delivery(sys::Db& db, std::int64_t enrollment_id, std::int64_t command_id) {
  db.execute("DELETE FROM queue WHERE enrollment_id = ? AND command_id = ?", {enrollment_id, command_id});
}

}  // namespace store
