// Command line, environment and configuration file, in this order of precedence, through
// Boost.Program_options.
//
// From the environment only PREFIX_ plus a known key (upper case, - as _) is read. The file is `key = value`
// lines with # comments. An unknown key is an error naming file and line, or the option. Errors:
// Error{bad_request} with a text for the admin.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sys {

struct OptionSpec {
  std::string key;             // "server-url"
  std::string help;            // one line
  std::string placeholder;     // "URL"; empty: a switch without value (command line only)
  std::string fallback;        // default; empty: unset
  bool in_environment = true;  // false: the name means something else there
};

struct ParsedOptions {
  std::map<std::string, std::string, std::less<>>
      values;  // defaults included; a switch that was given has the value "yes"
  std::map<std::string, std::string, std::less<>>
      sources;       // key -> "command line", "environment", "FILE:LINE" or "default"
  std::string file;  // the configuration file that was read; "" for none
  std::vector<std::string> positional;

  [[nodiscard]] std::optional<std::string> find(std::string_view key) const;
  [[nodiscard]] std::string get(std::string_view key) const;  // "" when unset
  [[nodiscard]] bool has(std::string_view key) const { return find(key).has_value(); }
};

// `configuration` keys may stand in all three places, `switches` on the command line only. The file is
// --config, PREFIX_CONF, or `default_file` (which need not exist).
struct OptionTable {
  std::vector<OptionSpec> configuration;
  std::vector<OptionSpec> command_line;
  std::string environment_prefix = "POMONA_";
  std::string default_file;
};

ParsedOptions parse_options(OptionTable const& table, std::vector<std::string> const& arguments);

std::string describe_options(std::vector<OptionSpec> const& specs);  // aligned lines for --help

}  // namespace sys
