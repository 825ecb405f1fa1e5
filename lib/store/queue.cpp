#include "store/queue.hpp"

namespace store {

std::optional<NextCommand> read_next_command(sys::DbRow const& row, std::size_t column) {
  if (row.null(column)) return std::nullopt;
  return NextCommand{row.integer(column),
                     row.integer(column + 1),
                     row.text(column + 2),
                     row.text(column + 3),
                     row.text(column + 4) == "rendered",
                     row.maybe_text(column + 5),
                     row.maybe_text(column + 6),
                     row.maybe_text(column + 7)};
}

std::optional<NextCommand> next_command(sys::Db& db, std::int64_t enrollment_id) {
  auto const row = db.query_row(
      "SELECT q.id, c.id, c.uuid, c.request_type, c.kind, c.body, c.renderer, c.parameters "
      "FROM queue q FORCE INDEX (next_command) JOIN commands c ON c.id = q.command_id WHERE q.enrollment_id "
      "= ? AND q.state = 'queued' "
      "ORDER BY q.priority, q.enqueued_at, q.id LIMIT 1",
      {enrollment_id});
  if (!row) return std::nullopt;
  return read_next_command(*row, 0);
}

std::optional<NextCommand> next_rendered(sys::Db& db, std::int64_t enrollment_id, std::string_view renderer) {
  auto const row = db.query_row(
      "SELECT q.id, c.id, c.uuid, c.request_type, c.kind, c.body, c.renderer, c.parameters "
      "FROM queue q JOIN commands c ON c.id = q.command_id WHERE q.enrollment_id = ? AND q.state <> 'held' "
      "AND c.renderer = ? ORDER BY q.priority, q.enqueued_at, q.id LIMIT 1",
      {enrollment_id, renderer});
  if (!row) return std::nullopt;
  return read_next_command(*row, 0);
}

std::optional<std::string> outstanding_rendered(sys::Db& db, std::int64_t enrollment_id,
                                                std::string_view renderer) {
  auto const row = db.query_row(
      "SELECT c.uuid FROM queue q JOIN commands c ON c.id = q.command_id WHERE q.enrollment_id = ? AND "
      "c.renderer = ? LIMIT 1",
      {enrollment_id, renderer});
  if (!row) return std::nullopt;
  return row->text(0);
}

bool lock_delivery(sys::Db& db, std::int64_t queue_id) {
  return db.query_row("SELECT id FROM queue WHERE id = ? AND state <> 'held' FOR UPDATE", {queue_id})
      .has_value();
}

void reopen_not_now(sys::Db& db, std::int64_t enrollment_id) {
  db.execute("UPDATE queue SET state = 'queued' WHERE enrollment_id = ? AND state = 'not-now'",
             {enrollment_id});
}

Settled settle_report(sys::Db& db, SettleRequest const& request, sys::Time now) {
  auto const row = db.retry([&] {
    return db.query_row("CALL settle_report(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        {request.enrollment_id, request.uuid, request.status, request.body, request.event,
                         request.external_id, request.detail, request.touch, now});
  });
  if (!row) throw sys::Error(sys::Fault::internal, "settle_report: no answer");
  return {row->text(0), read_next_command(*row, 1)};
}

bool add_to_queue(sys::Db& db, NewDelivery const& delivery, sys::Time now) {
  return db.insert_unless_duplicate(
      "INSERT INTO queue (enrollment_id, command_id, state, priority, enqueued_at) VALUES (?, ?, ?, ?, ?)",
      {delivery.enrollment_id, delivery.command_id, delivery.held ? "held" : "queued", delivery.priority,
       now});
}

std::vector<Delivery> list_deliveries(sys::Db& db, DeliveryFilter const& filter) {
  std::string where = " WHERE TRUE";
  sys::DbParams params;
  if (filter.command_id) {
    where += " AND q.command_id = ?";
    params.emplace_back(*filter.command_id);
  }
  if (filter.external_id) {
    where += " AND e.external_id = ?";
    params.emplace_back(*filter.external_id);
  }
  params.emplace_back(filter.limit);
  auto const rows = db.query(
      "SELECT q.id, q.enrollment_id, e.external_id, e.state, c.uuid, c.request_type, q.state, q.priority, "
      "q.enqueued_at, q.not_now_count, q.not_now_at FROM queue q JOIN enrollments e ON e.id = "
      "q.enrollment_id "
      "JOIN commands c ON c.id = q.command_id" +
          where + " ORDER BY q.enrollment_id, q.priority, q.enqueued_at, q.id LIMIT ?",
      params);
  std::vector<Delivery> all;
  for (auto const& row : rows) {
    all.push_back({row.integer(0), row.integer(1), row.text(2), row.text(3), row.text(4), row.text(5),
                   row.text(6), row.integer(7), row.time(8), row.integer(9), row.maybe_time(10)});
  }
  return all;
}

}  // namespace store
