#include "store/results.hpp"

namespace store {

namespace {

std::vector<ResultRow> read_all(sys::DbRows const& rows) {
  std::vector<ResultRow> all;
  for (auto const& row : rows) {
    all.push_back({row.integer(0), row.text(1), row.text(2), row.maybe_text(3), row.text(4),
                   row.maybe_text(5), row.maybe_time(6), row.integer(7), row.time(8), row.maybe_time(9),
                   row.maybe_text(10)});
  }
  return all;
}

}  // namespace

std::string result_purpose(std::int64_t enrollment_id, std::string_view uuid) {
  return "result:" + std::to_string(enrollment_id) + ':' + std::string(uuid);
}

std::string seal_report(sys::KeyRing const& message_key, std::int64_t enrollment_id, std::string_view uuid,
                        std::string_view report) {
  return message_key.seal_column(result_purpose(enrollment_id, uuid), report);
}

std::optional<std::string> open_report(sys::KeyRing const& message_key, ResultRow const& row) {
  if (!row.body) return std::nullopt;
  return message_key.open_column(*row.body, result_purpose(row.enrollment_id, row.command_uuid));
}

std::vector<ResultRow> results_of_command(sys::Db& db, std::string_view uuid) {
  return read_all(
      db.query("SELECT r.enrollment_id, e.external_id, r.command_uuid, r.request_type, r.status, r.body, "
               "r.enqueued_at, "
               "r.not_now_count, r.received_at, r.cancelled_at, r.cancelled_by FROM results r JOIN "
               "enrollments e ON e.id = r.enrollment_id "
               "WHERE r.command_uuid = ? ORDER BY r.received_at, r.id",
               {uuid}));
}

std::vector<ResultRow> list_results(sys::Db& db, std::string_view external_id, std::int64_t limit) {
  return read_all(db.query(
      "SELECT r.enrollment_id, e.external_id, r.command_uuid, r.request_type, r.status, NULL, r.enqueued_at, "
      "r.not_now_count, r.received_at, r.cancelled_at, r.cancelled_by FROM enrollments e JOIN results r ON "
      "r.enrollment_id = e.id "
      "WHERE e.external_id = ? ORDER BY r.received_at DESC, r.id DESC LIMIT ?",
      {external_id, limit}));
}

std::optional<std::string> settled_status(sys::Db& db, std::int64_t enrollment_id, std::int64_t command_id) {
  auto const row = db.query_row("SELECT status FROM results WHERE enrollment_id = ? AND command_id = ?",
                                {enrollment_id, command_id});
  if (!row) return std::nullopt;
  return row->text(0);
}

}  // namespace store
