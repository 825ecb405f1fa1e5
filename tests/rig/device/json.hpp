// The little JSON that scripts need.
#pragma once
#include <optional>
#include <string>

namespace device {

std::string json_string(const std::string& text);  // quoted and escaped

// One line of the APNs stand-in's log; nothing when the line is no push.
struct Push {
  std::string token;       // hex
  std::string push_magic;  // secret
};
std::optional<Push> read_push(const std::string& line);

}  // namespace device
