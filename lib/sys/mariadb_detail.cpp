#include "sys/mariadb_detail.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include <errmsg.h>
#include <mysqld_error.h>
#include <pwd.h>
#include <unistd.h>

namespace sys::detail {

bool lost(unsigned code) {
  switch (code) {
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_CONN_HOST_ERROR:
    case CR_CONNECTION_ERROR:
    case CR_MALFORMED_PACKET:  // the end of a half-written answer
    case CR_COMMANDS_OUT_OF_SYNC:
    case ER_SERVER_SHUTDOWN:
    case ER_CONNECTION_KILLED:
    case ER_NET_PACKET_TOO_LARGE:  // the server closes after each of these
    case ER_NET_READ_ERROR:
    case ER_NET_READ_INTERRUPTED:
    case ER_NET_ERROR_ON_WRITE:
    case ER_NET_WRITE_INTERRUPTED:
      return true;
    default:
      return false;
  }
}

bool never_done(unsigned code) {
  return code == CR_SERVER_GONE_ERROR || code == ER_SERVER_SHUTDOWN || code == ER_CONNECTION_KILLED;
}

bool retryable(unsigned code) {
  return code == ER_LOCK_DEADLOCK || code == ER_LOCK_WAIT_TIMEOUT || code == ER_CHECKREAD ||
         code == ER_UNKNOWN_COM_ERROR || code == ER_ERROR_DURING_COMMIT;
}

bool login_refused(unsigned code) {
  switch (code) {
    case ER_ACCESS_DENIED_ERROR:
    case ER_ACCESS_DENIED_NO_PASSWORD_ERROR:
    case ER_DBACCESS_DENIED_ERROR:
    case ER_BAD_DB_ERROR:
    case ER_ACCOUNT_HAS_BEEN_LOCKED:
    case ER_MUST_CHANGE_PASSWORD_LOGIN:
    case ER_PLUGIN_IS_NOT_LOADED:
    case CR_AUTH_PLUGIN_CANNOT_LOAD:
      return true;
    default:
      return false;
  }
}

namespace {

// An operator's doing or a full disk: it passes, and then the same statement is right.
bool refused_for_now(unsigned code) {
  switch (code) {
    case ER_CON_COUNT_ERROR:
    case ER_TOO_MANY_USER_CONNECTIONS:
    case ER_USER_LIMIT_REACHED:
    case ER_OUTOFMEMORY:
    case ER_OUT_OF_RESOURCES:
    case ER_CANT_CREATE_THREAD:
    case ER_OPTION_PREVENTS_STATEMENT:  // --read-only
    case ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION:
    case ER_READ_ONLY_MODE:
    case ER_DISK_FULL:
    case ER_RECORD_FILE_FULL:
    case ER_ERROR_ON_WRITE:
    case ER_CANT_CREATE_FILE:
    case ER_GET_ERRNO:
    case ER_LOCK_TABLE_FULL:
    case ER_QUERY_INTERRUPTED:
    case ER_STATEMENT_TIMEOUT:
      return true;
    default:
      return false;
  }
}

}  // namespace

Fault fault_of(unsigned code) {
  if (lost(code) || retryable(code) || refused_for_now(code)) return Fault::unavailable;
  switch (code) {
    case ER_DUP_ENTRY:
    case ER_CONSTRAINT_FAILED:
      return Fault::conflict;
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_COLUMNACCESS_DENIED_ERROR:
    case ER_PROCACCESS_DENIED_ERROR:
    case ER_DBACCESS_DENIED_ERROR:
    case ER_SPECIFIC_ACCESS_DENIED_ERROR:
    case ER_ACCESS_DENIED_ERROR:
      return Fault::forbidden;
    default:
      return Fault::internal;
  }
}

std::string gist(std::string_view sql) {
  std::string words(sql.substr(0, 60));
  std::replace(words.begin(), words.end(), '\n', ' ');
  return words;
}

void prepare_session(MYSQL* connection, DbOptions const& options) {
  unsigned const off = 0;
  mysql_options(connection, MYSQL_OPT_CONNECT_TIMEOUT, &options.connect_seconds);
  mysql_options(connection, MYSQL_OPT_READ_TIMEOUT, &options.reply_seconds);
  mysql_options(connection, MYSQL_OPT_WRITE_TIMEOUT, &options.reply_seconds);
  mysql_options(connection, MYSQL_OPT_LOCAL_INFILE, &off);
  mysql_options(connection, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  std::string const limit = std::to_string(options.lock_seconds);
  std::string const session =
      "SET SESSION time_zone='+00:00', "
      "sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', "
      "tx_isolation='READ-COMMITTED', innodb_lock_wait_timeout=" +
      limit + ", lock_wait_timeout=" + limit;
  mysql_options(connection, MYSQL_INIT_COMMAND, session.c_str());
}

namespace {

std::atomic<bool> server_is_silent{false};
std::mutex one_asks;

}  // namespace

Probe::Probe() : asking_(one_asks, std::defer_lock), allowed_(!server_is_silent || asking_.try_lock()) {}
bool Probe::is_silent() noexcept { return server_is_silent; }
void Probe::silent() noexcept { server_is_silent = true; }
void Probe::answered() noexcept { server_is_silent = false; }

ActAs::ActAs(DbOptions const& options) {
  if (!options.password.empty() || ::geteuid() != 0) return;
  ::passwd const* user = ::getpwnam(options.user.c_str());
  acting_ = user != nullptr && ::seteuid(user->pw_uid) == 0;
}

ActAs::~ActAs() {
  if (acting_ && ::seteuid(0) != 0) std::abort();  // never go on with half a user
}

Binding::Binding(DbParams const& params) : binds_(params.size()), numbers_(params.size()) {
  for (std::size_t i = 0; i < params.size(); ++i) bind(i, params[i].get());
}

void Binding::bind(std::size_t i, DbValue::Variant const& value) {
  MYSQL_BIND& bind = binds_[i];
  std::memset(&bind, 0, sizeof bind);
  if (auto const* number = std::get_if<std::int64_t>(&value)) {
    numbers_[i] = *number;
    bind.buffer_type = MYSQL_TYPE_LONGLONG;
    bind.buffer = &numbers_[i];
    bytes_ += sizeof(std::int64_t);
  } else if (auto const* text = std::get_if<std::string>(&value)) {
    bind.buffer_type = MYSQL_TYPE_STRING;
    bind.buffer = const_cast<char*>(text->data());  // the API takes void* for reading too
    bind.buffer_length = static_cast<unsigned long>(text->size());
    bytes_ += text->size();
  } else {
    bind.buffer_type = MYSQL_TYPE_NULL;
  }
}

}  // namespace sys::detail
