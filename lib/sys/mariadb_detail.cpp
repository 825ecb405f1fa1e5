#include "sys/mariadb_detail.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <errmsg.h>
#include <mysqld_error.h>
#include <pwd.h>
#include <unistd.h>

namespace sys::detail {

bool lost(unsigned code) {
  return code == CR_SERVER_GONE_ERROR || code == CR_SERVER_LOST || code == CR_CONN_HOST_ERROR ||
         code == CR_CONNECTION_ERROR || code == ER_SERVER_SHUTDOWN || code == ER_CONNECTION_KILLED;
}

bool retryable(unsigned code) {
  return code == ER_LOCK_DEADLOCK || code == ER_LOCK_WAIT_TIMEOUT || code == ER_UNKNOWN_COM_ERROR ||
         code == ER_ERROR_DURING_COMMIT;
}

Fault fault_of(unsigned code) {
  if (lost(code) || retryable(code) || code == ER_CON_COUNT_ERROR || code == ER_TOO_MANY_USER_CONNECTIONS) {
    return Fault::unavailable;
  }
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
