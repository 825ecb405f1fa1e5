// Places where a test kills the process, as kill -9 would. Nothing in a release build: no code and no names.
//
// POMONA_CRASH_AT in the environment of a test build is
//   NAME              die at the first passage of the point NAME
//   NAME:PROBABILITY  die at each passage with that probability, 0 to 1; the name * stands for every point
//   @FILE             one of these stands in FILE, which is read at every passage; no file: nothing happens.
//                     A NAME without a probability goes to the process that removes the file, and to no
//                     other.
// A value that cannot be read as one of these names no point.
#pragma once

#include <string_view>

namespace sys {

#ifdef POMONA_TEST_BUILD
void crash_point(std::string_view name);
#else
inline void crash_point(std::string_view /*name*/) {}
#endif

}  // namespace sys
