// Cryptographic Message Syntax (RFC 5652): what Mdm-Signature, profile signing and profile encryption need.
//
// Signatures are checked, signers are not: who the certificate belongs to is the caller's decision. Errors:
// Error{bad_request}.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/x509.hpp"

namespace sys {

struct VerifiedSigner {
  Cert signer;
  std::optional<Time> signing_time;  // a signed attribute, absent in the form without attributes
  bool signed_attributes = false;    // without them the signature says nothing but "these bytes, some time"
};

// A detached signature over exactly `content`, in BER or DER, with exactly one signer whose certificate is
// inside; digests SHA-1 and better. At most 32 KiB. Throws Error{unauthenticated} when it does not verify.
VerifiedSigner verify_detached(std::string_view cms, std::string_view content);

// Whose certificate such a signature claims to be made with, before anything is proven: for those who need
// not read the content when it is nobody's they know.
Cert claimed_signer(std::string_view cms);

// Attached SignedData: returns the content in `content`.
VerifiedSigner verify_attached(std::string_view cms, std::string& content);

// Attached, DER, SHA-256, with `chain` inside.
std::string sign_attached(std::string_view content, Cert const& signer, Key const& key,
                          std::vector<Cert> const& chain);

// EnvelopedData to one RSA recipient by issuer and serial, AES-256-CBC, DER.
std::string encrypt_to(std::string_view content, Cert const& recipient);

// What EnvelopedData with one RSA recipient holds; AES or 3DES. nullopt: it is for another one. The caller
// bounds its size.
std::optional<std::string> decrypt_enveloped(std::string_view cms, Cert const& recipient, Key const& key);

}  // namespace sys
