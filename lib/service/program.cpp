#include "service/program.hpp"

#include <csignal>
#include <cstdio>
#include <exception>

#include <sys/prctl.h>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

constexpr int kUsage = 2;
constexpr int kNotConfigured = 3;

void print_help(ProgramSpec const& spec) {
  std::vector<sys::OptionSpec> own = common_options();
  own.insert(own.end(), spec.command_line.begin(), spec.command_line.end());
  std::string const text = spec.name + ": " + spec.summary + "\n\nOptions\n" + sys::describe_options(own) +
                           "\nConfiguration, also in " + kDefaultConfigFile +
                           " as `key = value` and in the environment as POMONA_KEY\n" +
                           sys::describe_options(config_options());
  std::fputs(text.c_str(), stdout);
}

int complain(ProgramSpec const& spec, std::string const& what, int code) {
  std::fputs((spec.name + ": " + what + '\n').c_str(), stderr);
  return code;
}

}  // namespace

std::vector<sys::OptionSpec> common_options() {
  return {{"config", "configuration file", "FILE", ""},
          {"help", "this text", "", ""},
          {"version", "the version", "", ""}};
}

int run_program(ProgramSpec const& spec, int argc, char** argv,
                std::function<int(Config const&, sys::ParsedOptions const&)> const& body) {
#ifndef __SANITIZE_ADDRESS__
  // Keys are in memory: no core files, no debugger of the same user. (LeakSanitizer is such a debugger.)
  ::prctl(PR_SET_DUMPABLE, 0);
#endif
  std::signal(SIGPIPE, SIG_IGN);
  sys::OptionTable table{config_options(), common_options(), "POMONA_", kDefaultConfigFile};
  table.command_line.insert(table.command_line.end(), spec.command_line.begin(), spec.command_line.end());
  Config config;
  sys::ParsedOptions parsed;
  try {
    parsed = sys::parse_options(table, {argv + 1, argv + argc});
    if (parsed.has("help")) {
      print_help(spec);
      return 0;
    }
    if (parsed.has("version")) {
      std::puts((spec.name + " " POMONA_VERSION).c_str());
      return 0;
    }
    if (!parsed.positional.empty())
      return complain(spec, "what is " + parsed.positional.front() + "? See --help", kUsage);
    config = make_config(parsed, spec.name);
  } catch (sys::Error const& error) {
    return complain(spec, error.what(), error.fault() == sys::Fault::not_found ? kNotConfigured : kUsage);
  }
  try {
    return body(config, parsed);
  } catch (sys::Error const& error) {
    return complain(spec, error.what(), sys::exit_code(error.fault()));
  } catch (std::exception const& error) {
    return complain(spec, std::string("defect: ") + error.what(), 1);
  }
}

}  // namespace service
