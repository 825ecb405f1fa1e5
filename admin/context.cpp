#include <cstdlib>
#include <iostream>

#include <pwd.h>
#include <unistd.h>

#include "nouns.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace admin {

Context::Context(service::Config config, sys::ParsedOptions options, std::vector<std::string> arguments,
                 sys::Time now)
    : config_(std::move(config)),
      options_(std::move(options)),
      arguments_(std::move(arguments)),
      now_(now),
      out_(options_.has("json"), !options_.has("no-headers")) {}

std::optional<std::int64_t> Context::number(std::string const& key, std::int64_t least, std::int64_t most) {
  auto const given = options_.find(key);
  if (!given) return std::nullopt;
  auto const value = sys::parse_integer(*given);
  if (!value || *value < least || *value > most) {
    usage("--" + key + ' ' + *given + ": a number from " + std::to_string(least) + " to " +
          std::to_string(most) + " is needed");
  }
  return value;
}

std::optional<sys::seconds> Context::duration(std::string const& key) {
  auto const given = options_.find(key);
  if (!given) return std::nullopt;
  auto const value = sys::parse_duration(*given);
  if (!value) usage("--" + key + ' ' + *given + ": a duration like 30s, 5m, 24h or 7d is needed");
  return value;
}

sys::Db& Context::unchecked_db(service::Patience patience) {
  if (!db_) db_ = std::make_unique<sys::Db>(service::open_database(config_, patience));
  return *db_;
}

sys::Db& Context::db() {
  auto& db = unchecked_db();
  if (!schema_checked_) store::check_schema(db);
  schema_checked_ = true;
  return db;
}

sys::KeyRing const& Context::key(std::string const& domain) {
  auto const found = keys_.find(domain);
  if (found != keys_.end()) return found->second;
  try {
    return keys_.emplace(domain, sys::KeyRing::from_file(config_.key_dir, domain)).first->second;
  } catch (sys::Error const& error) {
    if (error.fault() != sys::Fault::not_found) throw;
    throw sys::Error(sys::Fault::not_found,
                     std::string(error.what()) + "; `pomona secrets init` makes the keys that are missing");
  }
}

std::string Context::who() const {
  char const* sudo = ::geteuid() == 0 ? std::getenv("SUDO_USER") : nullptr;
  if (sudo != nullptr && *sudo != '\0') return "cli:" + sys::escape_controls(sudo);
  ::passwd const* entry = ::getpwuid(::geteuid());
  return "cli:" + (entry != nullptr ? std::string(entry->pw_name) : std::to_string(::geteuid()));
}

bool Context::ask(std::string const& consequence, std::string const& expected) {
  if (has("yes")) return true;
  if (::isatty(STDIN_FILENO) == 0) usage(consequence + "\nNothing was done; repeat with --yes to do it");
  std::cerr << consequence << "\nType " << expected << " to go on: " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return sys::trim(answer) == expected;
}

void Context::confirm(std::string const& consequence) { confirm_typed(consequence, "yes"); }

void Context::confirm_typed(std::string const& consequence, std::string const& expected) {
  if (!ask(consequence, expected)) throw sys::Error(sys::Fault::conflict, "not confirmed; nothing was done");
}

void Context::usage(std::string const& what) {
  usage_was_wrong_ = true;
  throw sys::Error(sys::Fault::bad_request, what);
}

}  // namespace admin
