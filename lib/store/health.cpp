#include "store/health.hpp"

namespace store {

namespace {

std::map<std::string, std::int64_t> counts(sys::Db& db, std::string_view sql) {
  std::map<std::string, std::int64_t> found;
  for (auto const& row : db.query(sql)) found[row.text(0)] = row.integer(1);
  return found;
}

}  // namespace

QueueHealth queue_health(sys::Db& db) {
  QueueHealth health;
  for (auto const& row : db.query("SELECT state, COUNT(*), MIN(enqueued_at) FROM queue GROUP BY state")) {
    auto const state = row.text(0);
    (state == "held" ? health.held : state == "not-now" ? health.not_now : health.queued) += row.integer(1);
    auto const since = row.maybe_time(2);
    if (state != "held" && since && (!health.oldest || *since < *health.oldest)) health.oldest = since;
  }
  auto const frozen = db.query_row(
      "SELECT COUNT(*) FROM enrollments WHERE frozen AND parent_id IS NULL AND state = 'current'");
  health.frozen = frozen ? frozen->integer(0) : 0;
  return health;
}

PushHealth push_health(sys::Db& db, sys::Time now) {
  // Only what a worker would take: current, not frozen, with a token.
  auto const row = db.query_row(
      "SELECT COALESCE(SUM(p.due_at <= ? AND p.dead_since IS NULL), 0), "
      "MIN(IF(p.due_at <= ? AND p.dead_since IS NULL, p.due_at, NULL)), "
      "COALESCE(SUM(p.attempts > 0 AND p.dead_since IS NULL), 0), COALESCE(SUM(p.dead_since IS NOT NULL), 0) "
      "FROM push_state p JOIN enrollments e ON e.id = p.enrollment_id "
      "WHERE e.state = 'current' AND NOT e.frozen AND e.push_token IS NOT NULL",
      {now, now});
  if (!row) return {};
  return {row->integer(0), row->maybe_time(1), row->integer(2), row->integer(3)};
}

std::map<std::string, std::int64_t> devices_by_state(sys::Db& db) {
  return counts(db, "SELECT state, COUNT(*) FROM enrollments WHERE parent_id IS NULL GROUP BY state");
}

std::map<std::string, std::int64_t> results_by_status(sys::Db& db) {
  return counts(db, "SELECT status, COUNT(*) FROM results GROUP BY status");
}

}  // namespace store
