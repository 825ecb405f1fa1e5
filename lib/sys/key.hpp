// Private and public keys.
//
// Reading accepts PEM and DER, PKCS#1, SEC1 and PKCS#8, encrypted or not. Errors: Error{bad_request} for what
// cannot be read, with what was found instead where that can be told.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sys/bytes.hpp"

struct evp_pkey_st;

namespace sys {

enum class Curve { p256, p384 };

class Key {
 public:
  static Key generate_rsa(unsigned bits);
  static Key generate_ec(Curve curve = Curve::p256);
  // Whether it says so itself: PEM by its words, DER by its form.
  static bool is_encrypted(std::string_view bytes);
  static Key read_private(std::string_view bytes, SecretBytes const& pass_phrase = {});
  static Key read_public(std::string_view spki_der);

  [[nodiscard]] SecretBytes private_pem() const;  // PKCS#8
  [[nodiscard]] SecretBytes private_der() const;  // PKCS#8
  [[nodiscard]] std::string public_der() const;   // SubjectPublicKeyInfo
  [[nodiscard]] bool is_rsa() const;
  [[nodiscard]] bool is_ec() const;
  [[nodiscard]] unsigned bits() const;
  [[nodiscard]] std::string kind_name() const;  // "rsa-2048", "p-256", "p-384"; else OpenSSL's word for it
  [[nodiscard]] std::optional<std::uint64_t> rsa_exponent()
      const;  // nullopt: no RSA key, or larger than 64 bits
  [[nodiscard]] bool same_public_key(Key const& other) const;

  // How this key signs certificates: RSASSA-PKCS1-v1_5 or ECDSA, with SHA-256, an EC key of more than 256
  // bits with SHA-384. sign_certificate and the AlgorithmIdentifier that stands beside its signature.
  [[nodiscard]] int certificate_algorithm() const;  // OpenSSL's NID
  [[nodiscard]] std::string sign_certificate(std::string_view tbs) const;

  explicit Key(evp_pkey_st* owned);  // takes the reference
  [[nodiscard]] evp_pkey_st* raw() const noexcept { return key_.get(); }

 private:
  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace sys
