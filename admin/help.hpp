// The help of the `pomona` command on its three levels, and the nearest word to a mistyped one.
#pragma once

#include <string>
#include <vector>

#include "nouns.hpp"

namespace admin {

std::vector<sys::OptionSpec> global_options();  // besides the configuration keys

std::string general_help(std::vector<Noun> const& nouns);
std::string noun_help(Noun const& noun);
std::string verb_help(Noun const& noun, Verb const& verb);

// " Did you mean X?" or "".
std::string suggestion(std::string const& typed, std::vector<std::string> const& words);

}  // namespace admin
