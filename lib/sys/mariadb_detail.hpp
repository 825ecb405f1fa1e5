// Parts of the MariaDB wrapper that hold no connection: error codes, bound parameters, who connects. Only
// mariadb*.cpp include it.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <mysql.h>

#include "sys/error.hpp"
#include "sys/mariadb.hpp"

namespace sys::detail {

bool lost(unsigned code);  // the connection is gone
bool never_done(
    unsigned code);  // it is, and the server did not do the statement: it did not arrive, or was killed
bool retryable(unsigned code);  // deadlock, lock wait time-out, a row changed under us, a Galera node without
                                // quorum, a writeset caught in a split
bool login_refused(unsigned code);  // of connecting: a matter of configuration; anything else is one of time
Fault fault_of(unsigned code);
std::string gist(std::string_view sql);  // enough of a statement to find it again; statements hold no values

// What is said before and right after connecting: time limits, character set, session variables.
void prepare_session(MYSQL* connection, DbOptions const& options);

// A server that takes connections or statements and does not answer costs each that asks its time-out, and
// requests would queue up behind those. So while the last word of the process's threads is that it is silent,
// one thread at a time asks again and the others are refused at once.
class Probe {
 public:
  Probe();
  [[nodiscard]] bool allowed() const noexcept { return allowed_; }
  static bool is_silent() noexcept;
  static void silent() noexcept;
  static void answered() noexcept;

 private:
  std::unique_lock<std::mutex> asking_;
  bool allowed_;
};

// The unix_socket plugin asks the kernel who connects. Root may act as the Unix user that the database user
// is named after, so that a program run by hand as root logs in like the service does.
class ActAs {
 public:
  explicit ActAs(DbOptions const& options);
  ActAs(ActAs const&) = delete;
  ActAs& operator=(ActAs const&) = delete;
  ~ActAs();

 private:
  bool acting_ = false;
};

// Parameters in the form of the C API; the values must outlive it.
class Binding {
 public:
  explicit Binding(DbParams const& params);
  [[nodiscard]] MYSQL_BIND* data() noexcept { return binds_.data(); }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  void bind(std::size_t i, DbValue::Variant const& value);

  std::vector<MYSQL_BIND> binds_;
  std::vector<std::int64_t> numbers_;
  std::uint64_t bytes_ = 0;
};

}  // namespace sys::detail
