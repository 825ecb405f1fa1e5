// Every place where the database holds sealed bytes, for `pomona secrets rotate`: what is not yet under the
// domain's key, and the same value under it.
//
// Rows are replaced by compare-and-set on the sealed bytes: what somebody writes meanwhile is never
// overwritten, it is found again by the next pass. A new table with sealed bytes belongs in here; a test
// compares with the comments of the columns. Errors: those of sys::Db.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sys/mariadb.hpp"
#include "sys/seal.hpp"

namespace store {

enum class SealedTable { secrets, commands, results, messages };
std::string_view sealed_table_name(SealedTable table) noexcept;
std::vector<SealedTable> sealed_tables(std::string const& domain);  // with values of that domain

// How many values are under which key; "" for what is in no form that we know. Reads the tables in pieces.
std::map<std::string, std::int64_t> count_by_key(sys::Db& db, std::string const& domain);

// One piece of a pass through a table.
struct ResealPiece {
  std::vector<sys::DbValue> ids;  // under another key than `key_id`; at most a batch
  sys::DbValue next;              // where the following piece begins
  bool last = false;
};
sys::DbValue reseal_start(SealedTable table);
ResealPiece find_other_keys(sys::Db& db, SealedTable table, sys::SealKey const& key,
                            sys::DbValue const& after);

enum class Resealed {
  moved,
  elsewhere,  // gone, under the key already, or written by somebody meanwhile
  no_key,     // under a key that `find` does not know
  damaged     // its key is there, and it does not open
};
using KeyFinder = std::function<std::optional<sys::SealKey>(std::string_view key_id)>;
// Inside a transaction.
Resealed reseal(sys::Db& db, SealedTable table, sys::DbValue const& id, sys::SealKey const& key,
                KeyFinder const& find);

}  // namespace store
