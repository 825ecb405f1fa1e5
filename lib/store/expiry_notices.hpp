// What was told of the expiry of each certificate, so that nothing is told twice.
#pragma once

#include <string_view>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

// `subject`: 32 bytes. True when nothing, or only a lower stage, was told before; then this one is recorded.
bool raise_notice(sys::Db& db, std::string_view subject, int stage, sys::Time now);

// Of something that may come and go, like a file that cannot be read: true at first, and again a week later.
bool remind(sys::Db& db, std::string_view subject, sys::Time now);

}  // namespace store
