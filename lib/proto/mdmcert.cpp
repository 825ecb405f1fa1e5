#include "proto/mdmcert.hpp"

#include <nlohmann/json.hpp>

#include "sys/text.hpp"

namespace proto {

sys::SecretBytes write_mdmcert_request(MdmcertRequest const& request) {
  nlohmann::json const json{{"csr", sys::base64(request.csr_pem)},
                            {"encrypt", sys::base64(request.encryption_pem)},
                            {"email", request.email},
                            {"key", request.product_key.str()}};
  // What an admin typed may be no UTF-8.
  return sys::SecretBytes(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string read_mdmcert_answer(long status, std::string_view body) {
  constexpr long kOk = 200;
  constexpr std::size_t kLongestReason = 200;
  auto const json = nlohmann::json::parse(body, nullptr, false);
  auto const text = [&](char const* key) -> std::string {
    if (!json.is_object()) return {};
    auto const found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (status == kOk && text("result") == "success") return "";
  auto const reason = sys::escape_controls(text("reason").substr(0, kLongestReason));
  if (!reason.empty()) return "it refused: " + reason;
  if (status != kOk) return "it answered with HTTP status " + std::to_string(status);
  return "it answered with something that is no answer of that service; check mdmcert-url";
}

}  // namespace proto
