// X.509 certificates: reading, chain checks, and building from a template.
//
// Nothing here trusts a certificate by itself. Times are passed in, never read from the clock. Errors:
// Error{bad_request} for bytes that are no certificate, Error{internal} when building fails.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sys/key.hpp"
#include "sys/time.hpp"

struct x509_st;

namespace sys {

// keyUsage bits (RFC 5280 section 4.2.1.3), as a mask.
enum KeyUsage : unsigned {
  kDigitalSignature = 1U << 0U,
  kKeyEncipherment = 1U << 2U,
  kKeyCertSign = 1U << 5U,
  kCrlSign = 1U << 6U,
};

class Cert {
 public:
  static Cert from_der(std::string_view der);                 // all bytes must be consumed
  static Cert from_pem(std::string_view pem);                 // the first certificate
  static Cert read(std::string_view bytes);                   // PEM or DER
  static std::vector<Cert> read_all(std::string_view bytes);  // a PEM bundle, or one DER

  explicit Cert(x509_st* owned);  // takes the reference
  [[nodiscard]] x509_st* raw() const noexcept { return cert_.get(); }

  [[nodiscard]] std::string der() const;
  [[nodiscard]] std::string pem() const;
  [[nodiscard]] std::string sha256() const;       // of the DER, raw 32 bytes
  [[nodiscard]] std::string spki_sha256() const;  // of the SubjectPublicKeyInfo, raw 32 bytes
  [[nodiscard]] std::string serial() const;       // unsigned big-endian bytes
  [[nodiscard]] std::string subject() const;      // RFC 2253 text, for people and listings only
  [[nodiscard]] std::string issuer() const;
  [[nodiscard]] std::string subject_der() const;
  [[nodiscard]] std::string issuer_der() const;
  [[nodiscard]] std::optional<std::string> subject_value(
      std::string_view oid_or_name) const;  // UTF-8, e.g. "CN", "UID"
  [[nodiscard]] std::vector<std::string> uri_sans() const;
  [[nodiscard]] std::vector<std::string> dns_sans() const;
  [[nodiscard]] Time not_before() const;
  [[nodiscard]] Time not_after() const;
  [[nodiscard]] Key public_key() const;
  [[nodiscard]] bool is_ca() const;
  [[nodiscard]] unsigned key_usage() const;                // mask; all bits when the extension is absent
  [[nodiscard]] bool allows_client_auth() const;           // extended key usage absent or naming clientAuth
  [[nodiscard]] bool self_signed() const;                  // issuer equals subject and its own key signed it
  [[nodiscard]] bool signed_by(Cert const& issuer) const;  // signature and names only
  [[nodiscard]] bool valid_at(Time now) const { return not_before() <= now && now <= not_after(); }

 private:
  std::shared_ptr<x509_st> cert_;
};

// The bytes of the first certificate in PEM, unread: what they hash to is known, whether they are a
// certificate is not. Throws Error{bad_request} where there is no such block or it holds something else than
// one DER value.
std::string certificate_bytes(std::string_view pem);

struct ChainCheck {
  bool good = false;
  std::string reason;  // OpenSSL's words when not good
};

// Chain of `leaf` up to one of `trusted` (each an anchor, self-signed or not) with purpose TLS client.
// Without `at` dates are not looked at: who calls decides what an expired certificate may still do.
ChainCheck check_client_chain(Cert const& leaf, std::vector<Cert> const& trusted, std::optional<Time> at);

using NameParts =
    std::vector<std::pair<std::string, std::string>>;  // ("CN", "x"), ("O", "y"), ("UID", "z"); in order

struct CertTemplate {
  NameParts subject;
  std::string serial;  // unsigned big-endian bytes, 1 to 20, first bit 0
  Time not_before;
  Time not_after;
  bool ca = false;
  std::optional<int> path_length;
  unsigned key_usage = 0;  // mask; critical
  bool client_auth = false;
  bool server_auth = false;
  std::vector<std::string> uri_sans;
  std::vector<std::string> dns_sans;
};

// The complete to-be-signed DER of a certificate with this key, issued by `issuer` (its own subject when
// absent: self-signed). The authority key identifier holds the key id only, so that a CA certificate renewed
// with the same key still fits.
std::string build_tbs(CertTemplate const& wanted, Key const& subject_key, std::optional<Cert> const& issuer,
                      Key const& issuer_key);

// Signs such bytes with the key that build_tbs was given as issuer's (Key::certificate_algorithm) and returns
// the certificate. With an RSA key the result is the same every time, with an EC key it is not.
Cert sign_tbs(std::string_view tbs, Key const& issuer_key);

Cert issue(CertTemplate const& wanted, Key const& subject_key, std::optional<Cert> const& issuer,
           Key const& issuer_key);

// 16 bytes, the first 0x01 to 0x7f, the rest random: RFC 5280's 20 octets are kept and two servers never
// meet.
std::string random_serial();

}  // namespace sys
