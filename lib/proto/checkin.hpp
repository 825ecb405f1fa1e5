// Check-in messages: property list -> struct.
//
// Source: Apple's check-in schema. Keys that decide something are checked and refused; keys for people
// (names, versions) are cut to their column. Errors: Error{bad_request} with the key that is wrong, never
// its value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "proto/checkin_ids.hpp"
#include "sys/bytes.hpp"
#include "sys/plist.hpp"

namespace proto {

inline constexpr std::size_t kLongestTopic = 255;
inline constexpr std::size_t kLargestToken = 255;              // bytes of Token and PushMagic
inline constexpr std::size_t kLargestEscrowToken = 1U << 20U;  // UnlockToken, BootstrapToken

struct Authenticate {
  std::string topic;
  std::optional<std::string> serial_number, model, model_name, product_name, device_name, os_version,
      build_version;
};

struct TokenUpdate {
  std::string topic;
  std::string token;  // APNs device token, raw bytes
  std::string push_magic;
  sys::SecretBytes unlock_token;  // empty: not sent, which never cancels an earlier one
  bool awaiting_configuration = false;
};

struct CheckOut {};
struct UserAuthenticate {};

struct SetBootstrapToken {
  sys::SecretBytes token;  // empty: erase the stored one
};
struct GetBootstrapToken {};

// A MessageType that Apple defines and this server does not serve, or one that nobody knows.
struct Unsupported {};

struct CheckIn {
  Ids ids;
  std::string type;  // MessageType, for the log: at most 64 plain characters
  std::variant<Authenticate, TokenUpdate, CheckOut, UserAuthenticate, SetBootstrapToken, GetBootstrapToken,
               Unsupported>
      message;
};

CheckIn decode_checkin(std::string_view body, std::size_t limit);
CheckIn decode_checkin(sys::Plist const& message);

std::string bootstrap_token_answer(sys::SecretBytes const& token);  // empty: the key is left out

}  // namespace proto
