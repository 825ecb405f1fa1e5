// Schema migrations: forward only, recorded step by step, repeatable after a kill at any point.
//
// A migration file is steps that begin with `-- step: NAME`; each is one repeatable statement. What was
// applied is in schema_migrations with the checksum of the step: a step that changed after it was applied is
// an error. Procedures (sql/procedures.sql) are steps of version 0: they are made anew whenever their text
// changed. Runs under the lease "migrate".
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

struct MigrationStep {
  int version = 0;
  int number = 0;  // within the file, from 1
  std::string name;
  std::string sql;
  int oldest_code = 0;  // programs built for an older schema than this must not run

  [[nodiscard]] bool repeatable() const noexcept { return version == 0; }
};

// Splits a file by its `-- step:` lines. Throws Error{internal} for a file without them.
std::vector<MigrationStep> split_steps(std::string const& file_name, std::string const& text);

struct MigrationStatus {
  MigrationStep step;
  std::optional<sys::Time> applied_at;  // of a repeatable step: with this text
  bool changed = false;                 // applied with other text, and not repeatable
};

std::vector<MigrationStatus> migration_status(sys::Db& db);

// Applies what is missing, then the grants. `progress` gets a line for each step done. Returns the number of
// steps applied.
int migrate(sys::Db& db, std::string const& owner, sys::Time now,
            std::function<void(std::string const&)> const& progress);

// A program refuses a schema that lacks a step it was built with, or whose oldest_code is above its own.
// Error{unavailable}: the admin migrates, the program's next try works.
void check_schema(sys::Db& db);

// "USER@HOST, database NAME, server VERSION": for people.
std::string database_identity(sys::Db& db);

}  // namespace store
