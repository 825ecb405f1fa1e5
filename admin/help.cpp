#include "help.hpp"

#include <algorithm>

#include "service/program.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

std::string two_columns(std::vector<std::pair<std::string, std::string>> const& lines) {
  std::size_t width = 0;
  for (auto const& [head, text] : lines) width = std::max(width, head.size());
  std::string out;
  for (auto const& [head, text] : lines) {
    out.append("  ").append(head).append(width + 2 - head.size(), ' ');
    out.append(text).append("\n");
  }
  return out;
}

std::string usage_line(Noun const& noun, Verb const& verb) {
  return "pomona " + noun.name + (verb.name.empty() ? "" : ' ' + verb.name) +
         (verb.arguments.empty() ? "" : ' ' + verb.arguments);
}

// Letters to change, add or drop (Levenshtein).
std::size_t distance(std::string const& a, std::string const& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t const above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<sys::OptionSpec> global_options() {
  auto options = service::common_options();
  options.push_back({"json", "JSON instead of text", "", ""});
  options.push_back({"no-headers", "tables without their first line", "", ""});
  return options;
}

std::string general_help(std::vector<Noun> const& nouns) {
  std::vector<std::pair<std::string, std::string>> lines;
  lines.reserve(nouns.size());
  for (auto const& noun : nouns) lines.emplace_back(noun.name, noun.summary);
  return "pomona: administers an Apple MDM server\n\nUsage: pomona NOUN VERB [OPTION...] [ARGUMENT...]\n\n"
         "Nouns\n" +
         two_columns(lines) +
         "\n`pomona NOUN --help` lists its verbs, `pomona NOUN VERB --help` explains one.\n\nOptions\n" +
         sys::describe_options(global_options()) + "\nConfiguration, also in " + service::kDefaultConfigFile +
         " as `key = value` and in the environment as POMONA_KEY\n" +
         sys::describe_options(service::config_options()) +
         "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not configured, 75 try again later.\n";
}

std::string noun_help(Noun const& noun) {
  if (noun.verbs.size() == 1 && noun.verbs.front().name.empty()) return verb_help(noun, noun.verbs.front());
  std::vector<std::pair<std::string, std::string>> lines;
  lines.reserve(noun.verbs.size());
  for (auto const& verb : noun.verbs)
    lines.emplace_back(verb.name + (verb.arguments.empty() ? "" : ' ' + verb.arguments), verb.summary);
  return "pomona " + noun.name + ": " + noun.summary + "\n\nVerbs\n" + two_columns(lines) + "\n`pomona " +
         noun.name + " VERB --help` explains one.\n";
}

std::string verb_help(Noun const& noun, Verb const& verb) {
  std::string summary = verb.summary;
  if (!summary.empty()) summary[0] = sys::to_upper(summary.substr(0, 1))[0];
  std::vector<sys::OptionSpec> options = verb.options;
  auto const global = global_options();
  options.insert(options.end(), global.begin(), global.end());
  return "Usage: " + usage_line(noun, verb) + " [OPTION...]\n\n" + summary + ".\n" +
         (verb.details.empty() ? "" : '\n' + verb.details + '\n') + "\nOptions\n" +
         sys::describe_options(options) +
         "Every configuration key is an option too; `pomona --help` lists them.\n";
}

std::string suggestion(std::string const& typed, std::vector<std::string> const& words) {
  std::string const* nearest = nullptr;
  std::size_t least = 3;  // more than two letters off is another word
  for (auto const& word : words) {
    bool const begins = typed.size() >= 2 && word.starts_with(typed);
    std::size_t const off = begins ? 0 : distance(typed, word);
    if (off < least && off < word.size()) {
      least = off;
      nearest = &word;
    }
  }
  return nearest == nullptr ? "" : " Did you mean " + *nearest + '?';
}

}  // namespace admin
