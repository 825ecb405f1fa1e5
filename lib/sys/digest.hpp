// Hashes and message authentication codes; raw bytes out.
#pragma once

#include <string>
#include <string_view>

namespace sys {

std::string sha1(std::string_view bytes);  // names only (subjectKeyIdentifier), never trust
std::string sha256(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);
std::string hkdf_sha256(std::string_view key, std::string_view info,
                        std::size_t length = 32);  // RFC 5869, empty salt

}  // namespace sys
