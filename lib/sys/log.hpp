// One key=value line per request or job item on stderr (the journal adds time and process).
//
// Values are escaped so that no sender can break or forge a line. Never pass a token, PushMagic, challenge,
// key or body.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sys {

class LogLine {
 public:
  explicit LogLine(std::string_view event);
  LogLine& add(std::string_view key, std::string_view value);
  LogLine& add(std::string_view key, long long value);
  void write() const;  // one write(2): lines of threads do not mix
  [[nodiscard]] std::string const& str() const noexcept { return text_; }

 private:
  std::string text_;
};

}  // namespace sys
