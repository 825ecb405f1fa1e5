#include "sys/der.hpp"

#include <openssl/asn1.h>
#include <openssl/err.h>

#include "sys/openssl.hpp"

namespace sys {

std::optional<DerValue> read_der(std::string_view bytes) {
  constexpr int kError = 0x80;
  unsigned char const* cursor = ossl::data(bytes);
  long length = 0;
  DerValue value;
  int const form =
      ASN1_get_object(&cursor, &length, &value.tag, &value.tag_class, static_cast<long>(bytes.size()));
  if ((form & kError) != 0) {
    ERR_clear_error();
    return std::nullopt;
  }
  value.constructed = (form & V_ASN1_CONSTRUCTED) != 0;
  value.indefinite = (form & 1) != 0;
  auto const rest = bytes.substr(static_cast<std::size_t>(cursor - ossl::data(bytes)));
  auto const size = value.indefinite ? rest.size() : static_cast<std::size_t>(length);
  value.content = rest.substr(0, size);
  value.following = rest.substr(size);
  return value;
}

std::optional<std::string_view> only_sequence(std::string_view der) {
  auto const value = read_der(der);
  bool const sequence = value && value->tag == V_ASN1_SEQUENCE && value->tag_class == V_ASN1_UNIVERSAL &&
                        value->constructed && !value->indefinite && value->following.empty();
  return sequence ? std::optional(value->content) : std::nullopt;
}

}  // namespace sys
