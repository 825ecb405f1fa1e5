#include "store/push.hpp"

#include "sys/error.hpp"

namespace store {

namespace {

// Deliveries that a poll could bring; held ones are none.
constexpr char const* kCommandsWait =
    "EXISTS (SELECT 1 FROM queue q WHERE q.enrollment_id = push_state.enrollment_id AND q.state IN "
    "('queued','not-now'))";

sys::DbValue or_null(std::string const& text) {
  return text.empty() ? sys::DbValue(nullptr) : sys::DbValue(text);
}

}  // namespace

void mark_push_due(sys::Db& db, std::int64_t enrollment_id, sys::Time at) {
  db.execute(
      "INSERT INTO push_state (enrollment_id, topic, due_at) SELECT id, topic, ? FROM enrollments WHERE id = "
      "? ON DUPLICATE KEY UPDATE due_at = IF(dead_since IS NULL, VALUES(due_at), due_at), unanswered = 0",
      {at, enrollment_id});
}

void revive_push(sys::Db& db, std::int64_t enrollment_id, sys::Time now) {
  db.execute(std::string("UPDATE push_state SET due_at = IF(") + kCommandsWait +
                 ", ?, NULL), dead_since = NULL, doubted_since = NULL, attempts = 0, unanswered = 0 WHERE "
                 "enrollment_id = ? AND dead_since IS NOT NULL",
             {now, enrollment_id});
}

bool record_push(sys::Db& db, std::string const& owner, ClaimedPush const& claimed,
                 PushOutcome const& outcome) {
  bool const taken = outcome.pushed_at.has_value();
  // Assignments are made from left to right, each seeing those before it: `unanswered` goes by the new
  // due_at.
  std::string const sql =
      std::string("UPDATE push_state SET due_at = IF(due_at <=> CAST(? AS DATETIME(6)), IF(NOT ? OR ") +
      kCommandsWait +
      ", CAST(? AS DATETIME(6)), NULL), due_at), unanswered = IF(? AND due_at <=> CAST(? AS DATETIME(6)), ?, "
      "IF(due_at IS NULL, 0, unanswered)), lease_owner = NULL, lease_until = NULL, attempts = ?, dead_since "
      "= "
      "IF(?, NULL, dead_since), doubted_since = IF(?, NULL, doubted_since), last_pushed_at = COALESCE(?, "
      "last_pushed_at), last_status = ?, last_reason = ?, last_apns_id = ? WHERE enrollment_id = ? AND "
      "lease_owner = ?";
  return db.execute(
             sql, {claimed.due_at, taken, outcome.next_due, taken, outcome.next_due, claimed.unanswered + 1,
                   outcome.attempts, taken, taken, outcome.pushed_at, outcome.status, or_null(outcome.reason),
                   or_null(outcome.apns_id), claimed.enrollment_id, owner}) == 1;
}

bool record_dead_token(sys::Db& db, DeadToken const& dead, sys::Time now) {
  return db.execute(
             "UPDATE push_state SET dead_since = COALESCE(dead_since, ?), doubted_since = NULL, attempts = "
             "?, "
             "due_at = ? WHERE enrollment_id = ? AND due_at <=> CAST(? AS DATETIME(6)) AND EXISTS (SELECT 1 "
             "FROM enrollments e WHERE e.id = push_state.enrollment_id AND e.push_token = ? AND "
             "(e.token_updated_at IS NULL OR e.token_updated_at < COALESCE(CAST(? AS DATETIME(6)), ?)))",
             {now, dead.attempts, dead.next_due, dead.claimed.enrollment_id, dead.provisional,
              dead.claimed.push_token, dead.not_after, now}) == 1;
}

void doubt_token(sys::Db& db, DeadToken const& dead, sys::Time now) {
  db.execute(
      "UPDATE push_state SET doubted_since = COALESCE(doubted_since, ?), attempts = ?, due_at = ? WHERE "
      "enrollment_id = ? AND due_at <=> CAST(? AS DATETIME(6)) AND dead_since IS NULL",
      {now, dead.attempts, dead.next_due, dead.claimed.enrollment_id, dead.provisional});
}

bool topic_taken_since(sys::Db& db, std::string const& topic, sys::Time after) {
  auto const row = db.query_row(
      "SELECT EXISTS (SELECT 1 FROM push_state WHERE topic = ? AND last_pushed_at > ?)", {topic, after});
  return row && row->integer(0) != 0;
}

void retry_failed_pushes(sys::Db& db, std::string const& topic, sys::Time now) {
  constexpr std::uint64_t kAtOnce = 5000;
  auto const part = [&] {
    return db.execute(
        "UPDATE push_state SET due_at = ?, attempts = 0, doubted_since = NULL WHERE topic = ? AND due_at > ? "
        "AND dead_since IS NULL AND (last_status IS NULL OR last_status <> 200) LIMIT ?",
        {now, topic, now, kAtOnce});
  };
  while (db.retry(part) == kAtOnce) continue;
}

std::vector<DueTopic> enrolled_topics(sys::Db& db) {
  std::vector<DueTopic> out;
  for (auto const& row :
       db.query("SELECT topic, COUNT(*) FROM enrollments WHERE state IN ('pending', 'current') AND parent_id "
                "IS NULL GROUP BY topic ORDER BY topic")) {
    out.push_back({row.text(0), row.integer(1)});
  }
  return out;
}

std::optional<PushStatus> push_status(sys::Db& db, std::int64_t enrollment_id) {
  auto const row = db.query_row(
      "SELECT due_at, attempts, unanswered, dead_since, last_pushed_at, last_status, last_reason FROM "
      "push_state WHERE enrollment_id = ?",
      {enrollment_id});
  if (!row) return std::nullopt;
  return PushStatus{row->maybe_time(0), row->integer(1),       row->integer(2),   row->maybe_time(3),
                    row->maybe_time(4), row->maybe_integer(5), row->maybe_text(6)};
}

std::optional<PushTarget> find_push_target(sys::Db& db, std::string_view external_id) {
  auto const row = db.query_row(
      "SELECT id, external_id, state, frozen, push_token IS NOT NULL AND push_magic IS NOT NULL, topic FROM "
      "enrollments WHERE current_id = ?",
      {external_id});
  if (!row) return std::nullopt;
  return PushTarget{row->integer(0),      row->text(1),         row->text(2),
                    row->integer(3) != 0, row->integer(4) != 0, row->text(5)};
}

}  // namespace store
