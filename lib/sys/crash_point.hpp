// Places where a test kills the process: POMONA_CRASH_AT=NAME in the environment of a test build. Nothing in
// a release build.
#pragma once

#include <csignal>
#include <cstdlib>
#include <string_view>

namespace sys {

inline void crash_point([[maybe_unused]] std::string_view name) {
#ifdef POMONA_TEST_BUILD
  char const* wanted = std::getenv("POMONA_CRASH_AT");
  if (wanted != nullptr && name == wanted) std::raise(SIGKILL);
#endif
}

}  // namespace sys
