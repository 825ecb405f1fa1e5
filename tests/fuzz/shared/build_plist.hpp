// Property lists from fuzz bytes: keys that devices send, so that mutations change what a message says and
// not only whether it can be read.
#pragma once

#include <string>

#include "input.hpp"

namespace fuzz {

// XML; "" for a tree that cannot be written.
std::string build_plist(Input& input);

}  // namespace fuzz
