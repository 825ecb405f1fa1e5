#include "sys/log.hpp"

#include <unistd.h>

#include "sys/text.hpp"

namespace sys {

namespace {

bool needs_quotes(std::string_view value) {
  return value.empty() || value.find_first_of(" =\"\\\t\n\r") != std::string_view::npos;
}

}  // namespace

LogLine::LogLine(std::string_view event) : text_("event=" + std::string(event)) {}

LogLine& LogLine::add(std::string_view key, std::string_view value) {
  // A value from outside must not fill the journal.
  constexpr std::size_t kLongest = 512;
  std::string const escaped = escape_controls(value.substr(0, kLongest));
  text_ += ' ';
  text_ += key;
  text_ += '=';
  text_ += needs_quotes(value) ? '"' + escaped + '"' : escaped;
  return *this;
}

LogLine& LogLine::add(std::string_view key, long long value) { return add(key, std::to_string(value)); }

void LogLine::write() const {
  std::string const line = text_ + '\n';
  // Nothing sensible is left to do when stderr is gone.
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

}  // namespace sys
