#include "proto/checkin.hpp"

#include <utility>

#include "sys/error.hpp"

namespace proto {

namespace {

using sys::Error;
using sys::Fault;
using sys::Plist;

[[noreturn]] void refuse(std::string const& what) { throw Error(Fault::bad_request, "check-in: " + what); }

std::string topic(Plist const& message) {
  auto value = message.find_string("Topic");
  if (!value || !is_plain_word(*value, kLongestTopic)) refuse("Topic is missing or no topic");
  return *std::move(value);
}

std::optional<std::string> text(Plist const& message, std::string_view key, std::size_t longest = 255) {
  auto value = message.find_string(key);
  if (!value || value->empty()) return std::nullopt;
  return cut_text(*std::move(value), longest);
}

// The serial number can be what a ticket is bound to, so it is taken whole or not at all.
std::optional<std::string> serial_number(Plist const& message) {
  constexpr std::size_t kLongest = 64;
  auto value = message.find_string("SerialNumber");
  if (!value || value->empty()) return std::nullopt;
  if (!is_plain_word(*value, kLongest)) refuse("SerialNumber is no serial number");
  return value;
}

Authenticate authenticate(Plist const& message) {
  constexpr std::size_t kVersion = 64;
  return {topic(message),
          serial_number(message),
          text(message, "Model"),
          text(message, "ModelName"),
          text(message, "ProductName"),
          text(message, "DeviceName"),
          text(message, "OSVersion", kVersion),
          text(message, "BuildVersion", kVersion)};
}

sys::SecretBytes escrow_token(Plist const& message, std::string const& key) {
  Plist const* value = message.find(key);
  if (value == nullptr) return {};
  std::string const* data = value->data();
  if (data == nullptr || data->size() > kLargestEscrowToken) refuse(key + " is no data of at most 1 MiB");
  return sys::SecretBytes(*data);
}

TokenUpdate token_update(Plist const& message) {
  TokenUpdate update;
  update.topic = topic(message);
  auto token = message.find_data("Token");
  if (!token || token->empty() || token->size() > kLargestToken) refuse("Token is missing or too long");
  auto magic = message.find_string("PushMagic");
  if (!magic || magic->empty() || magic->size() > kLargestToken) refuse("PushMagic is missing or too long");
  update.token = *std::move(token);
  update.push_magic = *std::move(magic);
  update.unlock_token = escrow_token(message, "UnlockToken");
  update.awaiting_configuration = message.find_bool("AwaitingConfiguration").value_or(false);
  return update;
}

}  // namespace

CheckIn decode_checkin(Plist const& message) {
  CheckIn checkin;
  auto const type = message.find_string("MessageType");
  constexpr std::size_t kLongestType = 64;
  if (!type || !is_plain_word(*type, kLongestType)) refuse("MessageType is missing or no word");
  checkin.type = *type;
  checkin.ids = decode_ids(message);
  if (*type == "Authenticate") {
    checkin.message = authenticate(message);
  } else if (*type == "TokenUpdate") {
    checkin.message = token_update(message);
  } else if (*type == "CheckOut") {
    checkin.message = CheckOut{};
  } else if (*type == "UserAuthenticate") {
    checkin.message = UserAuthenticate{};
  } else if (*type == "SetBootstrapToken") {
    checkin.message = SetBootstrapToken{escrow_token(message, "BootstrapToken")};
  } else if (*type == "GetBootstrapToken") {
    checkin.message = GetBootstrapToken{};
  } else {
    checkin.message = Unsupported{};
  }
  return checkin;
}

CheckIn decode_checkin(std::string_view body, std::size_t limit) {
  sys::PlistLimits limits;
  limits.bytes = limit;
  return decode_checkin(sys::read_plist(body, limits));
}

std::string bootstrap_token_answer(sys::SecretBytes const& token) {
  Plist answer;
  if (!token.empty()) answer.set("BootstrapToken", sys::PlistData{token.str()});
  return sys::write_plist(answer);
}

}  // namespace proto
