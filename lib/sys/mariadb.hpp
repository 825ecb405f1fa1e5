// MariaDB through Connector/C: prepared statements only, cached per connection by their text; values whole;
// NULL is not "".
//
// One Db per thread. It connects on first use and again only between transactions, never inside one. A server
// that says nothing is given up after the seconds in DbOptions; whoever must answer in time also sets
// limit_time. A value that cannot fit into max_allowed_packet is refused before it is sent (the server would
// answer as if it were down). Errors: Error{unavailable} when the server is away, silent, read-only, full,
// out of quorum or stays contended; Error{conflict} for a duplicate key or a CHECK; Error{forbidden} for a
// missing grant; Error{internal} for anything else, always with the statement's first words, never values.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "sys/bytes.hpp"
#include "sys/error.hpp"
#include "sys/time.hpp"

namespace sys {

struct DbOptions {
  std::string socket;
  std::string user;
  SecretBytes password;  // empty: the unix_socket plugin identifies the user
  std::string database;
  unsigned connect_seconds = 3;
  unsigned reply_seconds = 60;  // that one statement may take; also how long the server may take no bytes
  unsigned lock_seconds = 5;    // that one statement waits for rows; less than reply_seconds
};

// A bound value: NULL, a number, bytes or a time. Bytes are sent as a string, so text columns and BLOBs both
// take them.
class DbValue {
 public:
  DbValue(std::nullptr_t) : value_(nullptr) {}                     // NOLINT(google-explicit-constructor)
  DbValue(std::string_view bytes) : value_(std::string(bytes)) {}  // NOLINT(google-explicit-constructor)
  DbValue(std::string const& bytes) : value_(bytes) {}             // NOLINT(google-explicit-constructor)
  DbValue(std::string&& bytes) : value_(std::move(bytes)) {}       // NOLINT(google-explicit-constructor)
  DbValue(char const* text) : value_(std::string(text)) {}         // NOLINT(google-explicit-constructor)
  DbValue(Time time) : value_(sql_time(time)) {}                   // NOLINT(google-explicit-constructor)
  template <typename Int>
    requires std::is_integral_v<Int>
  DbValue(Int number) : value_(static_cast<std::int64_t>(number)) {}  // NOLINT(google-explicit-constructor)
  template <typename T>
  DbValue(std::optional<T> const& maybe) : DbValue(maybe ? DbValue(*maybe) : DbValue(nullptr)) {}  // NOLINT

  using Variant = std::variant<std::nullptr_t, std::int64_t, std::string>;
  [[nodiscard]] Variant const& get() const noexcept { return value_; }

 private:
  Variant value_;
};
using DbParams = std::vector<DbValue>;

// One row; columns by position. A typed getter of a NULL column throws Error{internal}: ask for maybe_* where
// NULL can be.
class DbRow {
 public:
  explicit DbRow(std::vector<std::optional<std::string>> columns) : columns_(std::move(columns)) {}
  [[nodiscard]] std::size_t size() const noexcept { return columns_.size(); }
  [[nodiscard]] bool null(std::size_t column) const { return !columns_.at(column).has_value(); }
  [[nodiscard]] std::string const& text(std::size_t column) const;
  [[nodiscard]] std::optional<std::string> const& maybe_text(std::size_t column) const {
    return columns_.at(column);
  }
  [[nodiscard]] std::int64_t integer(std::size_t column) const;
  [[nodiscard]] std::optional<std::int64_t> maybe_integer(std::size_t column) const;
  [[nodiscard]] Time time(std::size_t column) const;
  [[nodiscard]] std::optional<Time> maybe_time(std::size_t column) const;

 private:
  std::vector<std::optional<std::string>> columns_;
};
using DbRows = std::vector<DbRow>;

class Db {
 public:
  explicit Db(DbOptions options);
  Db(Db&&) noexcept;
  Db& operator=(Db&&) noexcept;
  Db(Db const&) = delete;
  Db& operator=(Db const&) = delete;
  ~Db();

  // From now on, until the next call: when the database has taken this long in all, a further statement is
  // refused with Error{unavailable}, and nothing is tried again. What the caller does between statements does
  // not count. The last one to begin may still take DbOptions::reply_seconds.
  void limit_time(std::chrono::milliseconds most);

  // SELECT, CALL (first result set), INSERT ... RETURNING. Outside a transaction a lost connection is opened
  // again once, so such a statement must be harmless when run twice; and it is tried again as a transaction
  // is.
  DbRows query(std::string_view sql, DbParams const& params = {});
  std::optional<DbRow> query_row(std::string_view sql, DbParams const& params = {});  // the first row

  // INSERT, UPDATE, DELETE: rows affected (an UPDATE counts rows found, changed or not). Outside a
  // transaction it is tried again like one, and over a new connection where the old one did not take it any
  // more.
  std::uint64_t execute(std::string_view sql, DbParams const& params = {});
  std::uint64_t insert(std::string_view sql, DbParams const& params = {});  // the AUTO_INCREMENT value
  bool insert_unless_duplicate(std::string_view sql,
                               DbParams const& params = {});  // false: the key was there

  // DDL and session statements that cannot be prepared; never with values in the text.
  void run_unprepared(std::string_view sql);

  // Runs `work` between START TRANSACTION and COMMIT. Deadlock, lock wait time-out and loss of quorum run the
  // whole again (at most 5 times, with jitter, inside limit_time); any exception rolls back. `work` must have
  // no effect outside the database and its own result.
  template <typename Work>
  auto transaction(Work&& work) -> std::invoke_result_t<Work&> {
    using Result = std::invoke_result_t<Work&>;
    if constexpr (std::is_void_v<Result>) {
      transact([&] { work(); });
    } else {
      std::optional<Result> result;
      transact([&] { result.emplace(work()); });
      return std::move(*result);
    }
  }
  [[nodiscard]] bool in_transaction() const noexcept;

  // Runs a whole unit again on the same conditions; for stored procedures that hold their own transaction.
  template <typename Work>
  auto retry(Work&& work) -> std::invoke_result_t<Work&> {
    std::optional<std::invoke_result_t<Work&>> result;
    repeat([&] { result.emplace(work()); });
    return std::move(*result);
  }

  // Statements sent since the connection object was made: what a request costs.
  [[nodiscard]] std::uint64_t round_trips() const noexcept;

 private:
  struct State;
  void transact(std::function<void()> const& work);
  void repeat(std::function<void()> const& work);
  std::unique_ptr<State> state_;
};

}  // namespace sys
