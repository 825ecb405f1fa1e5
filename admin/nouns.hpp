// The frame that every noun of the `pomona` command hangs on: verbs, and the context that a verb runs in.
//
// A noun lives in its own file and gives one function `Noun NAME_noun()`; the table in main.cpp lists it.
// A verb returns an exit code (0 done, 1 failed); what it throws becomes one line on stderr and 1, or 75 for
// Fault::unavailable. Wrong usage goes through Context::usage() and becomes 2.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "output.hpp"
#include "service/config.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/options.hpp"
#include "sys/time.hpp"

namespace admin {

class Context {
 public:
  // `arguments`: what stands behind noun and verb.
  Context(service::Config config, sys::ParsedOptions options, std::vector<std::string> arguments,
          sys::Time now);

  [[nodiscard]] service::Config const& config() const noexcept { return config_; }
  [[nodiscard]] sys::ParsedOptions const& options() const noexcept { return options_; }
  [[nodiscard]] std::vector<std::string> const& arguments() const noexcept { return arguments_; }
  [[nodiscard]] sys::Time now() const noexcept { return now_; }  // read once, when the command began
  [[nodiscard]] Output const& out() const noexcept { return out_; }

  // The value of an option of this verb; "" when it was not given. A switch: has().
  [[nodiscard]] std::string option(std::string const& key) const { return options_.get(key); }
  [[nodiscard]] bool has(std::string const& key) const { return options_.has(key); }
  // nullopt when not given; usage() when it is not of that form.
  [[nodiscard]] std::optional<std::int64_t> number(std::string const& key, std::int64_t least,
                                                   std::int64_t most);
  [[nodiscard]] std::optional<sys::seconds> duration(std::string const& key);

  // The database: connected on first use, the schema checked. unchecked_db() is for `db` itself.
  sys::Db& db();
  sys::Db& unchecked_db(service::Patience patience = service::Patience::job);

  // The key of a domain, read from key-dir on first use.
  sys::KeyRing const& key(std::string const& domain);

  // "cli:NAME", for events and created_by: the Unix user, or who called sudo.
  [[nodiscard]] std::string who() const;

  // Asks and goes on only with "yes", or at once with --yes. `consequence` says what will happen to how many.
  // When stdin is no terminal it does not ask: usage(), naming --yes. Declined: throws Error{conflict}.
  void confirm(std::string const& consequence);
  // The same, where many devices are at stake: `expected` (a topic, the server URL) must be typed.
  void confirm_typed(std::string const& consequence, std::string const& expected);

  // Ends the command with exit code 2 and this text.
  [[noreturn]] void usage(std::string const& what);
  [[nodiscard]] bool usage_was_wrong() const noexcept { return usage_was_wrong_; }

 private:
  bool ask(std::string const& consequence, std::string const& expected);

  service::Config config_;
  sys::ParsedOptions options_;
  std::vector<std::string> arguments_;
  sys::Time now_;
  Output out_;
  std::unique_ptr<sys::Db> db_;
  bool schema_checked_ = false;
  std::map<std::string, sys::KeyRing> keys_;
  bool usage_was_wrong_ = false;
};

struct Verb {
  std::string name;       // "new"; "" for the only verb of a noun without verbs (certs)
  std::string summary;    // one line, no full stop
  std::string arguments;  // for --help: "CERT [KEY]"; "" when it takes none
  std::size_t least = 0;  // how many arguments it takes
  std::size_t most = 0;
  std::vector<sys::OptionSpec> options;
  int (*run)(Context&) = nullptr;
  bool asks = false;         // gets --yes
  std::string details = {};  // paragraphs for --help
};

struct Noun {
  std::string name;
  std::string summary;
  std::vector<Verb> verbs;
};

inline constexpr std::size_t kAnyNumber = 100'000;  // for Verb::most

Noun ca_noun();
Noun certs_noun();
Noun check_noun();
Noun command_noun();
Noun config_noun();
Noun db_noun();
Noun enrollment_noun();
Noun metrics_noun();
Noun push_cert_noun();
Noun push_noun();
Noun secrets_noun();
Noun ticket_noun();

}  // namespace admin
