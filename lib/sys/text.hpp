// Small text forms that gcc 12's library lacks: hex, base64, base32, percent, UUID.
//
// Decoders return nullopt for anything that is not exactly of the form; none of them throws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sys {

std::string hex(std::string_view bytes);  // lower case
std::optional<std::string> unhex(std::string_view text);

std::string base64(std::string_view bytes);  // standard alphabet, padded, one line
// White space is skipped; padding may be missing; anything else outside the alphabet is refused.
std::optional<std::string> unbase64(std::string_view text);

std::string base32(std::string_view bytes);  // RFC 4648 alphabet, no padding: every character is
                                             // PrintableString and URL safe

// Decodes %xx only and never turns '+' into a space (nginx's $ssl_client_escaped_cert, SCEP's GET messages).
std::optional<std::string> percent_decode(std::string_view text);
std::string percent_encode(std::string_view text);  // keeps RFC 3986 unreserved characters

std::string random_bytes(std::size_t count);  // CSPRNG; throws Error{internal}
std::string random_uuid();                    // upper case, version 4, the form Apple uses

std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
std::string_view trim(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);
bool is_utf8(
    std::string_view bytes) noexcept;  // strict: no overlong forms, surrogates or values above U+10FFFF

// Escapes control characters, quotes and backslashes so that a value stays on its line: for logs and
// terminals.
std::string escape_controls(std::string_view text);

std::optional<std::int64_t> parse_integer(std::string_view text);

}  // namespace sys
