// One clock. A program reads it once per request or round and passes the value down; SQL gets it as a bound
// parameter.
//
// Test builds add the offset in POMONA_TEST_CLOCK (seconds, may be negative); release builds ignore that
// variable.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sys {

// Microseconds since the epoch, UTC: the resolution of DATETIME(6).
using Time = std::chrono::sys_time<std::chrono::microseconds>;
using std::chrono::seconds;

Time current_time();

std::string iso_time(Time time);      // 2027-03-01T10:00:00Z
std::string sql_time(Time time);      // 2027-03-01 10:00:00.000000
std::string certbot_time(Time time);  // 2027-03-01 10:00:00+00:00
std::optional<Time> parse_iso_time(std::string_view text);
std::optional<Time> parse_sql_time(std::string_view text);  // fraction optional

std::int64_t unix_seconds(Time time);
Time from_unix(std::int64_t seconds);

// "30s", "5m", "24h", "7d"; a bare number is seconds.
std::optional<seconds> parse_duration(std::string_view text);

}  // namespace sys
