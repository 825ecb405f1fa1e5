// The verbs of `pomona command` that change what waits in queues, and what they share with the others.
#pragma once

#include <string>
#include <vector>

#include "nouns.hpp"

namespace admin {

// "a, b" as {"a", "b"}; empty parts are left out.
std::vector<std::string> split_list(std::string const& text);

std::vector<Verb> queue_verbs();  // cancel, clear, hold, release, priority

}  // namespace admin
