// PKCS#12 files (.p12, .pfx): a private key with its certificates, under a pass phrase.
//
// Old files, as Keychain and Profile Manager wrote them, are sealed with 40 bit RC2 and 3DES; these are read
// in an OpenSSL context of their own, so that nothing else of the process takes such algorithms. Errors:
// Error{bad_request} for what is no PKCS#12 or is damaged.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "sys/bytes.hpp"
#include "sys/x509.hpp"

namespace sys {

// SEQUENCE { INTEGER 3, ...: no key and no certificate begins so.
bool looks_like_pkcs12(std::string_view der) noexcept;

struct Pkcs12Content {
  std::optional<Key> key;  // none in a file of certificates
  std::vector<Cert> certs;
};
// nullopt: the pass phrase does not open it ("" opens a file that was made without one).
std::optional<Pkcs12Content> read_pkcs12(std::string_view der, SecretBytes const& pass_phrase);

}  // namespace sys
