// How a device proves who it is: fixed per enrolment (docs/data-and-trust.md section 5).
#pragma once

#include <optional>
#include <string_view>

namespace proto {

enum class AuthKind { tls, signature };

// As in the configuration and in the database.
constexpr std::string_view auth_name(AuthKind kind) noexcept {
  return kind == AuthKind::tls ? "tls" : "signature";
}

constexpr std::optional<AuthKind> parse_auth(std::string_view text) noexcept {
  if (text == "tls") return AuthKind::tls;
  if (text == "signature") return AuthKind::signature;
  return std::nullopt;
}

}  // namespace proto
