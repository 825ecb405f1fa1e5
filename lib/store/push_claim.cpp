#include "store/push_claim.hpp"

#include <algorithm>
#include <bit>

#include "store/leases.hpp"

namespace store {

namespace {

using Ids = std::vector<std::int64_t>;

// Sub-queries rather than joins: at READ COMMITTED they read the enrolment without locking it, which a
// check-in may be writing.
constexpr char const* kLeaseIsFree = "(lease_until IS NULL OR lease_until < NOW(6))";

constexpr char const* kServed =
    "e.state = 'current' AND NOT e.frozen AND e.push_token IS NOT NULL AND "
    "e.push_magic IS NOT NULL";

// A dead token is tried again 1, 7 and 30 days after its death, and then no more.
constexpr char const* kNextTry =
    "dead_since + INTERVAL (CASE attempts WHEN 1 THEN 1 WHEN 2 THEN 7 WHEN 3 THEN 30 ELSE NULL END) DAY";

// Old statistics would make the optimizer read the table. Parameters: now, topic.
constexpr char const* kDueOfTopic = "push_state FORCE INDEX (due_topic)";

std::string served_exists() {
  return std::string("EXISTS (SELECT 1 FROM enrollments e WHERE e.id = push_state.enrollment_id AND ") +
         kServed + ")";
}

// "(?,?,...)" for `ids`, which is filled up to a power of two with its last one, so that few different
// statements are prepared.
std::string list_of(Ids& ids) {
  ids.resize(std::bit_ceil(ids.size()), ids.back());
  std::string out = "(?";
  for (std::size_t i = 1; i < ids.size(); ++i) out += ",?";
  return out + ")";
}

sys::DbParams with(sys::DbParams params, Ids const& ids) {
  params.insert(params.end(), ids.begin(), ids.end());
  return params;
}

void take_lease(sys::Db& db, std::string const& owner, Ids ids) {
  std::string const list = list_of(ids);
  db.execute(
      "UPDATE push_state SET lease_owner = ?, lease_until = NOW(6) + INTERVAL ? SECOND WHERE enrollment_id "
      "IN " +
          list,
      with({owner, kLeaseSeconds}, ids));
}

std::vector<ClaimedPush> claimed_rows(sys::Db& db, std::string const& owner, Ids ids) {
  std::vector<ClaimedPush> out;
  std::string const list = list_of(ids);
  std::string const sql =
      "SELECT p.enrollment_id, e.external_id, e.topic, e.push_token, e.push_magic, p.due_at, p.attempts, "
      "p.unanswered, p.dead_since, p.doubted_since FROM push_state p JOIN enrollments e ON e.id = "
      "p.enrollment_id WHERE p.lease_owner = ? AND p.enrollment_id IN " +
      list + " AND " + kServed + " ORDER BY p.enrollment_id";
  for (auto const& row : db.query(sql, with({owner}, ids))) {
    out.push_back({row.integer(0), row.text(1), row.text(2), row.text(3), row.text(4), row.maybe_time(5),
                   row.integer(6), row.integer(7), row.maybe_time(8), row.maybe_time(9)});
  }
  return out;
}

Ids read_ids(sys::DbRows const& rows) {
  Ids ids;
  ids.reserve(rows.size());
  for (auto const& row : rows) ids.push_back(row.integer(0));
  return ids;
}

// Rows that were made without a topic.
void fill_topics(sys::Db& db) {
  constexpr std::uint64_t kAtOnce = 5000;
  auto const fill = [&] {
    return db.execute(
        "UPDATE push_state SET topic = (SELECT e.topic FROM enrollments e WHERE e.id = enrollment_id) WHERE "
        "topic IS NULL AND due_at IS NOT NULL ORDER BY due_at LIMIT ?",
        {kAtOnce});
  };
  while (db.retry(fill) == kAtOnce) continue;
}

// Rows of a topic that are due, under no lease, and such that `which`: `change` is made of them. Rows that
// somebody is writing are left for the next time.
void change_due(sys::Db& db, std::string const& topic, sys::Time now, std::string const& which,
                std::string const& change, sys::DbParams const& of_change,
                sys::DbParams const& of_which = {}) {
  constexpr std::int64_t kAtOnce = 1024;
  std::string const find = std::string("SELECT enrollment_id FROM ") + kDueOfTopic +
                           " WHERE due_at <= ? AND topic = ? AND " + kLeaseIsFree + " AND " + which +
                           " ORDER BY due_at LIMIT ? FOR UPDATE SKIP LOCKED";
  auto const part = [&] {
    sys::DbParams params{now, topic};
    params.insert(params.end(), of_which.begin(), of_which.end());
    params.emplace_back(kAtOnce);
    auto ids = read_ids(db.query(find, params));
    auto const found = std::ssize(ids);
    if (found == 0) return false;
    std::string const list = list_of(ids);
    db.execute("UPDATE push_state SET " + change + " WHERE enrollment_id IN " + list, with(of_change, ids));
    return found == kAtOnce;
  };
  while (db.transaction(part)) continue;
}

}  // namespace

std::vector<DueTopic> due_topics(sys::Db& db, sys::Time now) {
  std::string const sql =
      "SELECT topic, COUNT(*) FROM push_state FORCE INDEX (due_topic) WHERE due_at <= ? GROUP BY topic";
  auto rows = db.query(sql, {now});
  if (std::any_of(rows.begin(), rows.end(), [](auto const& row) { return row.null(0); })) {
    fill_topics(db);
    rows = db.query(sql, {now});
  }
  std::vector<DueTopic> out;
  for (auto const& row : rows) {
    if (!row.null(0)) out.push_back({row.text(0), row.integer(1)});
  }
  return out;
}

void settle_unpushable(sys::Db& db, std::string const& topic, sys::Time now) {
  // `unanswered` is read under the row's lock, as it is now: whoever queues a command sets it to 0 in the
  // same transaction, and is not overruled.
  change_due(db, topic, now,
             "((unanswered > 0 AND dead_since IS NULL AND NOT EXISTS (SELECT 1 FROM queue q WHERE "
             "q.enrollment_id = push_state.enrollment_id AND q.state IN ('queued','not-now'))) OR EXISTS "
             "(SELECT 1 FROM enrollments e WHERE e.id = push_state.enrollment_id AND e.state NOT IN "
             "('pending','current')))",
             "due_at = NULL, unanswered = 0", {});
  change_due(db, topic, now, std::string("dead_since IS NOT NULL AND COALESCE(") + kNextTry + " > ?, TRUE)",
             std::string("due_at = ") + kNextTry, {}, {now});
  // Only moved: one that becomes current at this moment is not lost.
  change_due(db, topic, now, "NOT " + served_exists(), "due_at = CAST(? AS DATETIME(6)) + INTERVAL 1 MINUTE",
             {now});
}

std::vector<ClaimedPush> claim_due_pushes(sys::Db& db, std::string const& topic, std::string const& owner,
                                          sys::Time now, std::int64_t limit) {
  std::string const sql = std::string("SELECT enrollment_id FROM ") + kDueOfTopic +
                          " WHERE due_at <= ? AND topic = ? AND " + kLeaseIsFree +
                          " AND (dead_since IS NULL OR " + kNextTry + " <= ?) AND " + served_exists() +
                          " ORDER BY due_at LIMIT ? FOR UPDATE SKIP LOCKED";
  return db.transaction([&] {
    auto const ids = read_ids(db.query(sql, {now, topic, now, limit}));
    if (ids.empty()) return std::vector<ClaimedPush>{};
    take_lease(db, owner, ids);
    return claimed_rows(db, owner, ids);
  });
}

std::vector<ClaimedPush> claim_pushes(sys::Db& db, Ids enrollment_ids, std::string const& owner,
                                      sys::Time now) {
  if (enrollment_ids.empty()) return {};
  // In the order in which answers are recorded, so that two transactions never wait for each other.
  std::sort(enrollment_ids.begin(), enrollment_ids.end());
  return db.transaction([&] {
    for (auto const id : enrollment_ids) {
      db.execute(
          "INSERT INTO push_state (enrollment_id, topic, due_at) SELECT id, topic, ? FROM enrollments WHERE "
          "id = ? ON DUPLICATE KEY UPDATE due_at = VALUES(due_at), unanswered = 0",
          {now, id});
      db.execute(
          std::string("UPDATE push_state SET lease_owner = ?, lease_until = NOW(6) + INTERVAL ? SECOND WHERE "
                      "enrollment_id = ? AND ") +
              kLeaseIsFree,
          {owner, kLeaseSeconds, id});
    }
    return claimed_rows(db, owner, enrollment_ids);
  });
}

Ids renew_push_claim(sys::Db& db, std::string const& owner, Ids enrollment_ids) {
  if (enrollment_ids.empty()) return {};
  std::string const list = list_of(enrollment_ids);
  return db.transaction([&] {
    db.execute(
        "UPDATE push_state SET lease_until = NOW(6) + INTERVAL ? SECOND WHERE lease_owner = ? AND "
        "enrollment_id IN " +
            list,
        with({kLeaseSeconds, owner}, enrollment_ids));
    return read_ids(
        db.query("SELECT enrollment_id FROM push_state WHERE lease_owner = ? AND enrollment_id IN " + list +
                     " ORDER BY enrollment_id",
                 with({owner}, enrollment_ids)));
  });
}

void release_push_claim(sys::Db& db, std::string const& owner, Ids enrollment_ids) {
  if (enrollment_ids.empty()) return;
  std::string const list = list_of(enrollment_ids);
  db.retry([&] {
    return db.execute(
        "UPDATE push_state SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = ? AND "
        "enrollment_id IN " +
            list,
        with({owner}, enrollment_ids));
  });
}

}  // namespace store
