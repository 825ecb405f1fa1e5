#include "proto/ticket.hpp"

#include <algorithm>

#include "sys/digest.hpp"
#include "sys/text.hpp"

namespace proto {

namespace {

constexpr std::size_t kSecretBytes = 20;
constexpr std::size_t kSecretLength = 32;

}  // namespace

std::string new_ticket_secret() { return sys::base32(sys::random_bytes(kSecretBytes)); }

bool is_ticket_secret(std::string_view text) noexcept {
  return text.size() == kSecretLength && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= '2' && c <= '7');
         });
}

std::string ticket_challenge(std::string_view ticket_secret) {
  return sys::base32(sys::hmac_sha256(ticket_secret, "pomona scep 1"));
}

}  // namespace proto
