#include "store/push.hpp"

#include <algorithm>

#include "store/leases.hpp"
#include "sys/error.hpp"

namespace store {

namespace {

// Sub-queries rather than joins: at READ COMMITTED an UPDATE reads them without locking the enrolment, which
// a check-in may be writing.
constexpr char const* kLeaseIsFree = "(lease_until IS NULL OR lease_until < NOW(6))";

constexpr char const* kServed =
    "e.state = 'current' AND NOT e.frozen AND e.push_token IS NOT NULL AND "
    "e.push_magic IS NOT NULL";

// A dead token is tried again 1, 7 and 30 days after its death, and then no more. The parameter is `now`.
constexpr char const* kDeadMayBeTried =
    "(dead_since IS NULL OR dead_since <= CAST(? AS DATETIME(6)) - INTERVAL (CASE attempts WHEN 1 THEN 1 "
    "WHEN 2 "
    "THEN 7 WHEN 3 THEN 30 ELSE NULL END) DAY)";

std::string claimable() { return std::string("due_at <= ? AND ") + kLeaseIsFree + " AND " + kDeadMayBeTried; }

// The rows that the statement before it, in the same transaction, gave to `owner`.
std::vector<ClaimedPush> claimed_rows(sys::Db& db, std::string const& owner) {
  std::vector<ClaimedPush> out;
  std::string const sql =
      std::string(
          "SELECT p.enrollment_id, e.external_id, e.topic, e.push_token, e.push_magic, p.due_at, "
          "p.attempts, p.dead_since FROM push_state p JOIN enrollments e ON e.id = p.enrollment_id "
          "WHERE p.due_at IS NOT NULL AND p.lease_owner = ? AND ") +
      kServed + " ORDER BY p.enrollment_id";
  for (auto const& row : db.query(sql, {owner})) {
    out.push_back({row.integer(0), row.text(1), row.text(2), row.text(3), row.text(4), row.maybe_time(5),
                   row.integer(6), row.maybe_time(7)});
  }
  return out;
}

std::vector<DueTopic> read_topics(sys::DbRows const& rows) {
  std::vector<DueTopic> out;
  out.reserve(rows.size());
  for (auto const& row : rows) out.push_back({row.text(0), row.integer(1)});
  return out;
}

}  // namespace

void mark_push_due(sys::Db& db, std::int64_t enrollment_id, sys::Time at) {
  db.execute(
      "INSERT INTO push_state (enrollment_id, due_at) VALUES (?, ?) ON DUPLICATE KEY UPDATE due_at = "
      "VALUES(due_at)",
      {enrollment_id, at});
}

void revive_push(sys::Db& db, std::int64_t enrollment_id, sys::Time now) {
  // Assignments are made from left to right, each seeing those before it.
  db.execute(
      "UPDATE push_state SET due_at = IF(due_at > ?, ?, due_at), dead_since = NULL, attempts = 0 WHERE "
      "enrollment_id = ? AND dead_since IS NOT NULL",
      {now, now, enrollment_id});
}

std::vector<ClaimedPush> claim_due_pushes(sys::Db& db, std::string const& topic, std::string const& owner,
                                          sys::Time now, std::int64_t limit) {
  std::string const sql =
      "UPDATE push_state SET lease_owner = ?, lease_until = NOW(6) + INTERVAL ? SECOND WHERE " + claimable() +
      " AND EXISTS (SELECT 1 FROM enrollments e WHERE e.id = push_state.enrollment_id AND e.topic = ? AND " +
      kServed + ") ORDER BY due_at LIMIT ?";
  return db.transaction([&] {
    auto const taken = db.execute(sql, {owner, kLeaseSeconds, now, now, topic, limit});
    return taken == 0 ? std::vector<ClaimedPush>{} : claimed_rows(db, owner);
  });
}

std::vector<ClaimedPush> claim_pushes(sys::Db& db, std::vector<std::int64_t> enrollment_ids,
                                      std::string const& owner, sys::Time now) {
  // In the order in which record_push goes, so that two transactions never wait for each other.
  std::sort(enrollment_ids.begin(), enrollment_ids.end());
  std::string const sql =
      std::string(
          "UPDATE push_state SET lease_owner = ?, lease_until = NOW(6) + INTERVAL ? SECOND WHERE "
          "enrollment_id = ? AND ") +
      kLeaseIsFree;
  return db.transaction([&] {
    for (auto const id : enrollment_ids) {
      mark_push_due(db, id, now);
      db.execute(sql, {owner, kLeaseSeconds, id});
    }
    return claimed_rows(db, owner);
  });
}

std::uint64_t renew_push_claim(sys::Db& db, std::string const& owner) {
  return db.retry([&] {
    return db.execute(
        "UPDATE push_state SET lease_until = NOW(6) + INTERVAL ? SECOND WHERE due_at IS NOT NULL AND "
        "lease_owner = ?",
        {kLeaseSeconds, owner});
  });
}

bool record_push(sys::Db& db, std::string const& owner, ClaimedPush const& claimed,
                 PushOutcome const& outcome) {
  bool const accepted = outcome.pushed_at.has_value();
  return db.execute(
             "UPDATE push_state SET due_at = IF(due_at <=> CAST(? AS DATETIME(6)), CAST(? AS DATETIME(6)), "
             "due_at), lease_owner = NULL, lease_until = NULL, attempts = ?, dead_since = IF(?, NULL, "
             "dead_since), last_pushed_at = COALESCE(?, last_pushed_at), last_status = ?, last_reason = ?, "
             "last_apns_id = ? WHERE enrollment_id = ? AND lease_owner = ?",
             {claimed.due_at, outcome.next_due, outcome.attempts, accepted, outcome.pushed_at, outcome.status,
              outcome.reason.empty() ? sys::DbValue(nullptr) : sys::DbValue(outcome.reason),
              outcome.apns_id.empty() ? sys::DbValue(nullptr) : sys::DbValue(outcome.apns_id),
              claimed.enrollment_id, owner}) == 1;
}

bool record_dead_token(sys::Db& db, DeadToken const& dead, sys::Time now) {
  return db.execute(
             "UPDATE push_state SET dead_since = COALESCE(dead_since, ?), attempts = ?, due_at = ? WHERE "
             "enrollment_id = ? AND due_at <=> CAST(? AS DATETIME(6)) AND EXISTS (SELECT 1 FROM enrollments "
             "e "
             "WHERE e.id = push_state.enrollment_id AND e.push_token = ? AND (e.token_updated_at IS NULL OR "
             "e.token_updated_at < COALESCE(CAST(? AS DATETIME(6)), ?)))",
             {now, dead.attempts, dead.next_due, dead.claimed.enrollment_id, dead.provisional,
              dead.claimed.push_token, dead.not_after, now}) == 1;
}

void release_push_claim(sys::Db& db, std::string const& owner) {
  db.retry([&] {
    return db.execute(
        "UPDATE push_state SET lease_owner = NULL, lease_until = NULL WHERE due_at IS NOT NULL AND "
        "lease_owner = ?",
        {owner});
  });
}

std::uint64_t clear_ended_pushes(sys::Db& db, sys::Time now) {
  return db.retry([&] {
    return db.execute(
        "UPDATE push_state SET due_at = NULL WHERE due_at <= ? AND EXISTS (SELECT 1 FROM enrollments e WHERE "
        "e.id = push_state.enrollment_id AND e.state NOT IN ('pending', 'current'))",
        {now});
  });
}

std::vector<DueTopic> due_topics(sys::Db& db, sys::Time now) {
  std::string const sql =
      "SELECT e.topic, COUNT(*) FROM push_state JOIN enrollments e ON e.id = push_state.enrollment_id "
      "WHERE " +
      claimable() + " AND " + kServed + " GROUP BY e.topic ORDER BY e.topic";
  return read_topics(db.query(sql, {now, now}));
}

std::vector<DueTopic> enrolled_topics(sys::Db& db) {
  return read_topics(
      db.query("SELECT topic, COUNT(*) FROM enrollments WHERE state IN ('pending', 'current') AND parent_id "
               "IS NULL GROUP BY topic ORDER BY topic"));
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
