// Parts of the MariaDB wrapper that hold no connection: error codes, bound parameters, who connects. Only
// mariadb*.cpp include it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mysql.h>

#include "sys/error.hpp"
#include "sys/mariadb.hpp"

namespace sys::detail {

bool lost(unsigned code);       // the connection is gone
bool retryable(unsigned code);  // deadlock, lock wait time-out, a Galera node without quorum, a writeset
                                // caught in a split
Fault fault_of(unsigned code);
std::string gist(std::string_view sql);  // enough of a statement to find it again; statements hold no values

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
