// What every program's main does: options, --help, --version, configuration, and the one place where a fault
// becomes an exit code.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "service/config.hpp"
#include "sys/options.hpp"

namespace service {

struct ProgramSpec {
  std::string name;     // pomona-mdm
  std::string summary;  // one line
  std::vector<sys::OptionSpec> command_line =
      {};  // beyond configuration keys, --config, --help and --version
};

// Exit codes: 0 done, 1 failed, 2 usage, 3 not configured, 75 try again later. Errors go to stderr as one
// line.
int run_program(ProgramSpec const& spec, int argc, char** argv,
                std::function<int(Config const&, sys::ParsedOptions const&)> const& body);

// Options that every program has besides its own.
std::vector<sys::OptionSpec> common_options();

inline constexpr char const* kDefaultConfigFile = "/etc/pomona/pomona.conf";

}  // namespace service
