// Certification requests (PKCS#10, RFC 2986) as SCEP brings them: the public key, the proof that the sender
// has its private half, and the challengePassword. Nothing else in a request is believed, so nothing else is
// read: no extensions, and the subject for logs only.
//
// build() makes those that we send ourselves: to Apple, for a push certificate.
//
// Hostile input: the caller bounds its size. Errors: Error{bad_request} for what is no request.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sys/bytes.hpp"
#include "sys/key.hpp"
#include "sys/key_floor.hpp"
#include "sys/x509.hpp"

struct X509_req_st;

namespace sys {

class Csr {
 public:
  static Csr from_der(std::string_view der);  // all bytes must be consumed
  static Csr read(std::string_view bytes);    // PEM or DER
  // Signed with SHA-256. Error{bad_request} for a name that an attribute cannot hold (C: two letters).
  static Csr build(NameParts const& subject, Key const& key);

  [[nodiscard]] std::string der() const;
  [[nodiscard]] std::string pem() const;  // lines of 64 characters

  [[nodiscard]] std::string subject() const;  // RFC 2253 text
  [[nodiscard]] std::string subject_der() const;
  [[nodiscard]] Key public_key() const;
  // PrintableString, UTF8String, IA5String or T61String; empty when there is none. Error{bad_request} for two
  // attributes, two values or another type.
  [[nodiscard]] SecretBytes challenge() const;

  // The request's own signature: only it proves possession of the key.
  [[nodiscard]] bool verify() const;
  // What is below the floor (sys/key_floor) of the key or of the signature's algorithm, nullopt when nothing
  // is. Where the request was decrypted, to be told only after verify(): see docs/data-and-trust.md
  // section 4.
  [[nodiscard]] std::optional<std::string> weakness(OldAlgorithms old = OldAlgorithms::refused) const;
  [[nodiscard]] bool is_signed_with_sha1() const;

 private:
  explicit Csr(X509_req_st* owned);
  [[nodiscard]] int signature_digest() const;

  std::shared_ptr<X509_req_st> request_;
};

}  // namespace sys
