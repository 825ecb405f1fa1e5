#include "json.hpp"

#include <nlohmann/json.hpp>

namespace device {

std::string json_string(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<Push> read_push(const std::string& line) {
  const auto parsed = nlohmann::json::parse(line, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("token") || !parsed.contains("payload")) return std::nullopt;
  const auto& token = parsed["token"];
  const auto& payload = parsed["payload"];
  if (!token.is_string() || !payload.is_object() || !payload.contains("mdm") || !payload["mdm"].is_string())
    return std::nullopt;
  return Push{token.get<std::string>(), payload["mdm"].get<std::string>()};
}

}  // namespace device
