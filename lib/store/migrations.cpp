#include "store/migrations.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "store/leases.hpp"
#include "store/migrations_embedded.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace store {

namespace {

using sys::Error;
using sys::Fault;

constexpr std::string_view kStepMark = "-- step: ";
constexpr std::string_view kOldestMark = "-- oldest-code: ";

constexpr char const* kCreateTables[] = {
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    " version INT UNSIGNED NOT NULL, step INT UNSIGNED NOT NULL, name VARCHAR(255) NOT NULL, sha256 "
    "BINARY(32) NOT NULL,"
    " applied_at DATETIME(6) NOT NULL, oldest_code INT UNSIGNED NOT NULL COMMENT 'oldest program that may "
    "run on this schema',"
    " PRIMARY KEY (version, step)) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'What was "
    "applied, and when'",
    // Migration 1 makes it too; the lease is needed before.
    "CREATE TABLE IF NOT EXISTS leases ("
    " name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, owner VARCHAR(64) CHARACTER SET ascii "
    "COLLATE ascii_bin NOT NULL,"
    " lease_until DATETIME(6) NOT NULL COMMENT 'by the database clock', PRIMARY KEY (name))"
    " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Row locks and GET_LOCK do not hold "
    "across Galera nodes; these do'"};

std::vector<MigrationStep> embedded_steps() {
  std::vector<MigrationStep> steps;
  for (auto const& file : embedded_sql()) {
    if (file.name == "grants.sql") continue;
    for (auto& step : split_steps(file.name, file.text)) steps.push_back(std::move(step));
  }
  return steps;
}

std::string label_of(MigrationStep const& step) {
  return std::to_string(step.version) + '.' + std::to_string(step.number) + ' ' + step.name;
}

bool table_exists(sys::Db& db) {
  return db
      .query_row(
          "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = "
          "'schema_migrations'")
      .has_value();
}

void apply(sys::Db& db, MigrationStep const& step, sys::Time now) {
  db.run_unprepared(step.sql);
  db.execute(
      "INSERT INTO schema_migrations (version, step, name, sha256, applied_at, oldest_code) VALUES (?, ?, ?, "
      "?, ?, ?) ON DUPLICATE KEY UPDATE name = VALUES(name), sha256 = VALUES(sha256), applied_at = "
      "VALUES(applied_at)",
      {step.version, step.number, step.name, sys::sha256(step.sql), now, step.oldest_code});
}

void apply_grants(sys::Db& db) {
  for (auto const& file : embedded_sql()) {
    if (file.name != "grants.sql") continue;
    for (auto const& step : split_steps(file.name, file.text)) db.run_unprepared(step.sql);
  }
}

}  // namespace

std::vector<MigrationStep> split_steps(std::string const& file_name, std::string const& text) {
  std::vector<MigrationStep> steps;
  int const version = static_cast<int>(sys::parse_integer(file_name.substr(0, 4)).value_or(0));
  int oldest_code = 0;
  for (auto const line : sys::split(text, '\n')) {
    if (line.starts_with(kStepMark)) {
      steps.push_back({version, static_cast<int>(steps.size()) + 1,
                       std::string(line.substr(kStepMark.size())), "", oldest_code});
    } else if (line.starts_with(kOldestMark)) {
      oldest_code =
          static_cast<int>(sys::parse_integer(sys::trim(line.substr(kOldestMark.size()))).value_or(0));
    } else if (!steps.empty() && !line.starts_with("-- ")) {
      steps.back().sql += std::string(line) + '\n';
    }
  }
  if (steps.empty()) throw Error(Fault::internal, file_name + ": no `-- step:` line");
  for (auto& step : steps) {
    std::string_view sql = sys::trim(step.sql);
    if (sql.ends_with(';')) sql.remove_suffix(1);
    step.sql = std::string(sql);
  }
  return steps;
}

std::vector<MigrationStatus> migration_status(sys::Db& db) {
  std::map<std::pair<int, int>, std::pair<sys::Time, std::string>> applied;
  if (table_exists(db)) {
    for (auto const& row : db.query("SELECT version, step, applied_at, sha256 FROM schema_migrations")) {
      applied[{static_cast<int>(row.integer(0)), static_cast<int>(row.integer(1))}] = {row.time(2),
                                                                                       row.text(3)};
    }
  }
  std::vector<MigrationStatus> out;
  for (auto& step : embedded_steps()) {
    auto const found = applied.find({step.version, step.number});
    std::string const checksum = sys::sha256(step.sql);
    MigrationStatus status{std::move(step), std::nullopt, false};
    if (found != applied.end()) {
      bool const same = found->second.second == checksum;
      bool const repeat = !same && status.step.repeatable();
      if (!repeat) status.applied_at = found->second.first;
      status.changed = !same && !repeat;
    }
    out.push_back(std::move(status));
  }
  return out;
}

int migrate(sys::Db& db, std::string const& owner, sys::Time now,
            std::function<void(std::string const&)> const& progress) {
  for (char const* statement : kCreateTables) db.run_unprepared(statement);
  Lease lease(db, "migrate", owner);
  if (!lease.held()) {
    throw Error(
        Fault::unavailable,
        "migrate: another migration is under way, or one was killed less than 30 seconds ago; try again");
  }
  int done = 0;
  for (auto const& status : migration_status(db)) {
    std::string const label = label_of(status.step);
    if (status.changed) {
      throw Error(Fault::conflict,
                  "migrate: step " + label +
                      " was applied with another text; this program is not of the same line of versions");
    }
    if (status.applied_at) continue;
    lease.renew();
    apply(db, status.step, now);
    progress(label);
    ++done;
  }
  apply_grants(db);
  return done;
}

void check_schema(sys::Db& db) {
  if (!table_exists(db)) {
    throw Error(Fault::unavailable, "database has no tables yet; run `pomona db migrate`");
  }
  std::set<std::pair<std::int64_t, std::int64_t>> applied;
  std::int64_t oldest = 0;
  for (auto const& row : db.query("SELECT version, step, oldest_code FROM schema_migrations")) {
    applied.emplace(row.integer(0), row.integer(1));
    oldest = std::max(oldest, row.integer(2));
  }
  int built_for = 0;
  for (auto const& step : embedded_steps()) {
    built_for = std::max(built_for, step.version);
    if (applied.contains({step.version, step.number})) continue;
    throw Error(Fault::unavailable, "database schema lacks step " + label_of(step) +
                                        ", which this program needs; run `pomona db migrate`");
  }
  if (oldest > built_for) {
    throw Error(Fault::unavailable, "database schema needs programs of version " + std::to_string(oldest) +
                                        " or later, this one is " + std::to_string(built_for) +
                                        "; upgrade this program");
  }
}

std::string database_identity(sys::Db& db) {
  auto const row = db.query_row("SELECT CURRENT_USER(), DATABASE(), VERSION()");
  return row ? row->text(0) + ", database " + row->text(1) + ", server " + row->text(2) : "";
}

}  // namespace store
