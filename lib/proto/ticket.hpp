// The secret of a ticket and what is derived from it.
//
// TICKET is 20 random bytes in base32: it stands in the URL /enroll/TICKET and nowhere else. The SCEP
// challenge is base32(HMAC-SHA256(TICKET, "pomona scep 1")), so that every download of the profile gives the
// same one. The database has only SHA-256 of both.
#pragma once

#include <string>
#include <string_view>

namespace proto {

std::string new_ticket_secret();
bool is_ticket_secret(std::string_view text) noexcept;  // 32 characters of the base32 alphabet
std::string ticket_challenge(std::string_view ticket_secret);

}  // namespace proto
