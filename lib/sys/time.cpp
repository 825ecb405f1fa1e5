#include "sys/time.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>

#include "sys/text.hpp"

namespace sys {

namespace {

struct Civil {
  int year;
  unsigned month;
  unsigned day;
  std::int64_t second_of_day;
  std::int64_t micros;
};

Civil civil(Time time) {
  auto const days = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day const date(days);
  auto const rest = (time - days).count();
  return {static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()), rest / 1'000'000, rest % 1'000'000};
}

std::string print(Time time, char separator, char const* tail) {
  Civil const c = civil(time);
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%04d-%02u-%02u%c%02d:%02d:%02d%s", c.year, c.month, c.day,
                separator, static_cast<int>(c.second_of_day / 3600),
                static_cast<int>(c.second_of_day / 60 % 60), static_cast<int>(c.second_of_day % 60), tail);
  return buffer.data();
}

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

std::optional<Time> parse(std::string_view text, char separator) {
  auto const year = digits(text, 0, 4);
  auto const month = digits(text, 5, 2);
  auto const day = digits(text, 8, 2);
  auto const hour = digits(text, 11, 2);
  auto const minute = digits(text, 14, 2);
  auto const second = digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (text[4] != '-' || text[7] != '-' || text[10] != separator || text[13] != ':' || text[16] != ':')
    return std::nullopt;
  std::chrono::year_month_day const date(std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  std::int64_t micros = 0;
  std::size_t at = 19;
  if (at < text.size() && text[at] == '.') {
    std::int64_t scale = 100'000;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
      micros += scale * (text[at] - '0');
  }
  if (at != text.size() && !(separator == 'T' && text.substr(at) == "Z")) return std::nullopt;
  return Time(std::chrono::sys_days(date)) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         seconds(*second) + std::chrono::microseconds(micros);
}

}  // namespace

Time current_time() {
  auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
#ifdef POMONA_TEST_BUILD
  if (char const* offset = std::getenv("POMONA_TEST_CLOCK"); offset != nullptr) {
    now += seconds(parse_integer(offset).value_or(0));
  }
#endif
  return now;
}

std::string iso_time(Time time) { return print(time, 'T', "Z"); }

std::string certbot_time(Time time) { return print(time, ' ', "+00:00"); }

std::string sql_time(Time time) {
  std::array<char, 16> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%06d", static_cast<int>(civil(time).micros));
  return print(time, ' ', fraction.data());
}

std::optional<Time> parse_iso_time(std::string_view text) { return parse(text, 'T'); }
std::optional<Time> parse_sql_time(std::string_view text) { return parse(text, ' '); }

std::int64_t unix_seconds(Time time) { return std::chrono::floor<seconds>(time).time_since_epoch().count(); }

Time from_unix(std::int64_t value) { return Time(seconds(value)); }

std::optional<seconds> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::int64_t unit = 1;
  bool named = true;
  switch (text.back()) {
    case 's':
      unit = 1;
      break;
    case 'm':
      unit = 60;
      break;
    case 'h':
      unit = 3600;
      break;
    case 'd':
      unit = 86400;
      break;
    default:
      named = false;
  }
  auto const number = parse_integer(named ? text.substr(0, text.size() - 1) : text);
  constexpr std::int64_t kHundredYears = 3'153'600'000;
  if (!number || *number < 0 || *number > kHundredYears / unit) return std::nullopt;
  return seconds(*number * unit);
}

}  // namespace sys
