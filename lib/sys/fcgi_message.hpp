// Inside of sys/fcgi: from the parameters and bytes of one request to the bytes of its answer. Others include
// sys/fcgi.hpp.
#pragma once

#include <functional>
#include <string>

#include "sys/fcgi.hpp"

namespace sys {

// Reads up to `size` bytes of the body and says how many came; fewer only at its end.
using ReadBody = std::function<std::size_t(char* into, std::size_t size)>;

// Checks limits, gate and length, calls the handler and encodes its answer. `env` is a list of NAME=VALUE
// that ends with nullptr. Never throws: whatever escapes the handler is logged and answered 500.
std::string answer(ServeOptions const& options, Handler const& handler, char const* const* env,
                   ReadBody const& read) noexcept;

}  // namespace sys
