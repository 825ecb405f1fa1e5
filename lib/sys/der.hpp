// Inside of sys: the header of one BER or DER value, for the few places that look at bytes before OpenSSL
// does.
#pragma once

#include <optional>
#include <string_view>

namespace sys {

struct DerValue {
  int tag = 0;
  int tag_class = 0;
  bool constructed = false;
  bool indefinite = false;          // then `content` is all that follows
  std::string_view content = {};    // lies within the bytes that were given
  std::string_view following = {};  // what stands behind it
};
// The value at the start of the bytes; nullopt when they are none, or end before it does.
std::optional<DerValue> read_der(std::string_view bytes);

// The content of the one SEQUENCE, of a definite length, that the bytes are; nullopt for anything else.
std::optional<std::string_view> only_sequence(std::string_view der);

}  // namespace sys
