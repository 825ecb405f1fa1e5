// pomona: the admin's command, `pomona NOUN VERB`.
//
// SECURITY. Run by hand by root, never by a web server and never set-user-id. It trusts its command line, its
// environment and its configuration file, all of them root's, and nothing it reads from the database, from
// files it imports or from devices: such text is escaped before it reaches a terminal, such bytes are bounded
// and parsed by lib/proto and lib/sys. It is the only program that reads the master key, and the database
// account `pomona` may do everything in its own database; it opens no socket and listens nowhere. Secrets are
// printed only where that is what was asked for (`ticket new`), never logged. It holds keys in memory, so it
// leaves no core file and cannot be traced by its own user.
#include <csignal>
#include <cstdio>
#include <exception>

#include <sys/prctl.h>

#include "help.hpp"
#include "nouns.hpp"
#include "service/program.hpp"
#include "sys/error.hpp"

namespace admin {

namespace {

constexpr int kUsage = 2;
constexpr int kNotConfigured = 3;

// The table of nouns, in the order of --help.
std::vector<Noun> nouns() {
  // clang-format off
  return {
      config_noun(),
      secrets_noun(),
      db_noun(),
      ca_noun(),
      ticket_noun(),
      enrollment_noun(),
      command_noun(),
      push_cert_noun(),
      push_noun(),
      certs_noun(),
      check_noun(),
      metrics_noun(),
  };
  // clang-format on
}

int complain(std::string const& where, std::string const& what, int code) {
  std::fputs((where + ": " + what + '\n').c_str(), stderr);
  return code;
}

int say(std::string const& text) {
  std::fputs(text.c_str(), stdout);
  return 0;
}

bool takes_value(std::string const& key, std::vector<sys::OptionSpec> const& specs) {
  for (auto const& spec : specs)
    if (spec.key == key) return !spec.placeholder.empty();
  return false;
}

// Noun and verb are the first two words that are neither an option nor the value of one.
std::vector<std::string> command_words(std::vector<std::string> const& arguments,
                                       std::vector<Noun> const& all) {
  std::vector<sys::OptionSpec> specs = service::config_options();
  for (auto const& spec : global_options()) specs.push_back(spec);
  std::vector<std::string> words;
  for (std::size_t i = 0; i < arguments.size() && words.size() < 2; ++i) {
    std::string const& argument = arguments[i];
    if (argument.starts_with("--")) {
      if (takes_value(argument.substr(2), specs)) ++i;
      continue;
    }
    words.push_back(argument);
    for (auto const& noun : all) {
      if (words.size() != 1 || noun.name != argument) continue;
      for (auto const& verb : noun.verbs) specs.insert(specs.end(), verb.options.begin(), verb.options.end());
    }
  }
  return words;
}

template <typename Named>
std::vector<std::string> names_of(std::vector<Named> const& all) {
  std::vector<std::string> names;
  names.reserve(all.size());
  for (auto const& one : all) names.push_back(one.name);
  return names;
}

template <typename Named>
Named const* find(std::vector<Named> const& all, std::string const& name) {
  for (auto const& one : all)
    if (one.name == name) return &one;
  return nullptr;
}

sys::ParsedOptions parse(std::vector<std::string> const& arguments, Verb const& verb) {
  sys::OptionTable table{service::config_options(), global_options(), "POMONA_", service::kDefaultConfigFile};
  table.command_line.insert(table.command_line.end(), verb.options.begin(), verb.options.end());
  return sys::parse_options(table, arguments);
}

int run_in(Context& context, Verb const& verb, std::string const& where) {
  try {
    std::size_t const given = context.arguments().size();
    if (given < verb.least || given > verb.most) {
      context.usage(verb.arguments.empty() ? "takes no argument; see --help"
                                           : "needs " + verb.arguments + "; see --help");
    }
    return verb.run(context);
  } catch (sys::Error const& error) {
    return complain(where, error.what(), context.usage_was_wrong() ? kUsage : sys::exit_code(error.fault()));
  } catch (std::exception const& error) {
    return complain(where, std::string("defect: ") + error.what(), 1);
  }
}

int run_verb(Noun const& noun, Verb const& verb, std::vector<std::string> const& arguments) {
  std::string const where = "pomona " + noun.name + (verb.name.empty() ? "" : ' ' + verb.name);
  service::Config config;
  sys::ParsedOptions parsed;
  try {
    parsed = parse(arguments, verb);
    if (parsed.has("help")) return say(verb_help(noun, verb));
    if (parsed.has("version")) return say("pomona " POMONA_VERSION "\n");
    config = service::make_config(parsed, "pomona");
  } catch (sys::Error const& error) {
    return complain(where, error.what(), error.fault() == sys::Fault::not_found ? kNotConfigured : kUsage);
  }
  std::vector<std::string> rest = parsed.positional;
  rest.erase(rest.begin(), rest.begin() + (verb.name.empty() ? 1 : 2));
  Context context(std::move(config), std::move(parsed), std::move(rest), sys::current_time());
  return run_in(context, verb, where);
}

bool asks_for(std::vector<std::string> const& arguments, std::string const& option) {
  for (auto const& argument : arguments)
    if (argument == option) return true;
  return false;
}

int run_noun(Noun noun, std::vector<std::string> const& words, std::vector<std::string> const& arguments) {
  for (auto& verb : noun.verbs)
    if (verb.asks) verb.options.push_back({"yes", "do it without asking", "", ""});
  if (Verb const* only = find(noun.verbs, ""); only != nullptr) return run_verb(noun, *only, arguments);
  if (words.size() < 2 || words[1] == "help") {
    if (words.size() == 2 || asks_for(arguments, "--help")) return say(noun_help(noun));
    return complain("pomona " + noun.name, "which verb?\n\n" + noun_help(noun), kUsage);
  }
  Verb const* verb = find(noun.verbs, words[1]);
  if (verb != nullptr) return run_verb(noun, *verb, arguments);
  return complain("pomona " + noun.name,
                  "there is no verb " + words[1] + '.' + suggestion(words[1], names_of(noun.verbs)) + "\n\n" +
                      noun_help(noun),
                  kUsage);
}

int run(std::vector<std::string> const& arguments) {
  auto const all = nouns();
  auto const words = command_words(arguments, all);
  if (words.empty()) {
    if (asks_for(arguments, "--version")) return say("pomona " POMONA_VERSION "\n");
    if (asks_for(arguments, "--help") || arguments.empty()) return say(general_help(all));
    return complain("pomona", "which noun? See pomona --help", kUsage);
  }
  if (words[0] == "help") {
    Noun const* topic = words.size() > 1 ? find(all, words[1]) : nullptr;
    return say(topic != nullptr ? noun_help(*topic) : general_help(all));
  }
  Noun const* noun = find(all, words[0]);
  if (noun != nullptr) return run_noun(*noun, words, arguments);
  return complain("pomona",
                  "there is no noun " + words[0] + '.' + suggestion(words[0], names_of(all)) +
                      " `pomona --help` lists them.",
                  kUsage);
}

}  // namespace

}  // namespace admin

int main(int argc, char** argv) {
#ifndef __SANITIZE_ADDRESS__
  ::prctl(PR_SET_DUMPABLE, 0);
#endif
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (auto& argument : arguments)
    if (argument == "-h") argument = "--help";
  return admin::run(arguments);
}
