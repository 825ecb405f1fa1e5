#include "sys/options.hpp"

#include <algorithm>
#include <cstdlib>

#include <boost/program_options.hpp>

#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

namespace po = boost::program_options;

void add_to(po::options_description& description, std::vector<OptionSpec> const& specs) {
  for (auto const& spec : specs) {
    if (spec.placeholder.empty()) {
      description.add_options()(spec.key.c_str(), spec.help.c_str());
    } else {
      description.add_options()(spec.key.c_str(), po::value<std::string>(), spec.help.c_str());
    }
  }
}

void take(po::variables_map const& map, ParsedOptions& into) {
  for (auto const& [key, value] : map) {
    if (into.values.contains(key) || key == "positional") continue;
    auto const* text = boost::any_cast<std::string>(&value.value());
    into.values[key] = text != nullptr ? *text : "yes";
    into.sources[key] = "command line";
  }
}

void parse_command_line(OptionTable const& table, std::vector<std::string> const& arguments,
                        ParsedOptions& into) {
  po::options_description visible;
  add_to(visible, table.configuration);
  add_to(visible, table.command_line);
  po::options_description all;
  all.add(visible).add_options()("positional", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("positional", -1);
  // No guessing: an abbreviated option is a typing error, and may mean something else after an upgrade.
  int const style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  po::variables_map map;
  try {
    po::store(po::command_line_parser(arguments).options(all).positional(positional).style(style).run(), map);
  } catch (po::error const& error) {
    throw Error(Fault::bad_request, error.what());
  }
  take(map, into);
  if (map.contains("positional")) into.positional = map["positional"].as<std::vector<std::string>>();
}

void parse_environment(OptionTable const& table, ParsedOptions& into) {
  for (auto const& spec : table.configuration) {
    if (!spec.in_environment) continue;
    std::string name = table.environment_prefix + to_upper(spec.key);
    std::replace(name.begin(), name.end(), '-', '_');
    char const* value = std::getenv(name.c_str());
    if (value == nullptr || into.values.contains(spec.key)) continue;
    into.values[spec.key] = value;
    into.sources[spec.key] = "environment";
  }
}

void parse_file(OptionTable const& table, std::string const& path, ParsedOptions& into) {
  std::string const text = read_file(path, 1U << 20U);
  std::map<std::string, std::string, std::less<>> seen;
  int number = 0;
  for (auto const raw : split(text, '\n')) {
    ++number;
    auto const line = trim(raw.substr(0, raw.find('#')));
    if (line.empty()) continue;
    std::string const where = path + ':' + std::to_string(number) + ": ";
    auto const equals = line.find('=');
    if (equals == std::string_view::npos)
      throw Error(Fault::bad_request, where + "not of the form key = value");
    std::string const key(trim(line.substr(0, equals)));
    bool const known = std::any_of(table.configuration.begin(), table.configuration.end(),
                                   [&](OptionSpec const& spec) { return spec.key == key; });
    if (!known) {
      std::string unknown = where;
      throw Error(Fault::bad_request, unknown.append("unknown key ").append(key));
    }
    if (!seen.emplace(key, trim(line.substr(equals + 1))).second) {
      std::string twice = where;
      twice.append(key).append(" stands twice");
      throw Error(Fault::bad_request, twice);
    }
    std::string source = path;
    into.sources.emplace(key, source.append(":").append(std::to_string(number)));
  }
  into.values.insert(seen.begin(), seen.end());  // what is there already came from a stronger source
}

std::string file_name(OptionTable const& table, ParsedOptions const& parsed) {
  if (auto const given = parsed.find("config")) return *given;
  char const* environment = std::getenv((table.environment_prefix + "CONF").c_str());
  if (environment != nullptr) return environment;
  return file_exists(table.default_file) ? table.default_file : "";
}

}  // namespace

std::optional<std::string> ParsedOptions::find(std::string_view key) const {
  auto const found = values.find(key);
  if (found == values.end()) return std::nullopt;
  return found->second;
}

std::string ParsedOptions::get(std::string_view key) const { return find(key).value_or(""); }

ParsedOptions parse_options(OptionTable const& table, std::vector<std::string> const& arguments) {
  ParsedOptions parsed;
  parse_command_line(table, arguments, parsed);
  parse_environment(table, parsed);
  std::string const path = file_name(table, parsed);
  if (!path.empty()) parse_file(table, path, parsed);
  parsed.file = path;
  for (auto const* specs : {&table.configuration, &table.command_line}) {
    for (auto const& spec : *specs) {
      if (!spec.fallback.empty() && parsed.values.emplace(spec.key, spec.fallback).second)
        parsed.sources[spec.key] = "default";
    }
  }
  return parsed;
}

std::string describe_options(std::vector<OptionSpec> const& specs) {
  std::size_t width = 0;
  std::vector<std::string> heads;
  for (auto const& spec : specs) {
    heads.push_back("  --" + spec.key + (spec.placeholder.empty() ? "" : ' ' + spec.placeholder));
    width = std::max(width, heads.back().size());
  }
  std::string out;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    out += heads[i] + std::string(width + 2 - heads[i].size(), ' ') + specs[i].help;
    if (!specs[i].fallback.empty()) out += " (" + specs[i].fallback + ')';
    out += '\n';
  }
  return out;
}

}  // namespace sys
