// Sealing by domain: AES-256-GCM under HKDF-SHA256(domain key, row id), with id, domain and purpose as
// associated data.
//
// A domain key is HKDF-SHA256(master, "pomona domain DOMAIN"), of a later generation N HKDF-SHA256(master,
// "pomona domain DOMAIN N"). Programs hold a domain's keys as sys::KeyRing, for there are two while they are
// rotated.
// `purpose` names what the value is and whose (for example "result:17:CommandUUID"), so that a row copied
// over another one does not open. Errors: Error{internal} when a value does not open: wrong key file or
// altered row; never says which byte.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "sys/bytes.hpp"

namespace sys {

class SealKey {
 public:
  SealKey(std::string domain, SecretBytes key);  // key: 32 bytes

  static SealKey from_master(std::string const& domain, SecretBytes const& master, int generation = 1);

  [[nodiscard]] std::string const& domain() const noexcept { return domain_; }
  [[nodiscard]] SecretBytes const& bytes() const noexcept { return key_; }
  // First 8 bytes of SHA-256(key): stored with each sealed value, so that a rotation knows which key it was.
  [[nodiscard]] std::string const& key_id() const noexcept { return key_id_; }

  // The parts of a row of `secrets`.
  struct Sealed {
    std::string id;     // 16 random bytes
    std::string nonce;  // 12 bytes
    std::string body;   // ciphertext and tag
  };
  [[nodiscard]] Sealed seal(std::string_view purpose, std::string_view plain) const;
  // For a row that keeps its id (16 bytes) and gets another key: never twice under the same key.
  [[nodiscard]] Sealed seal_as(std::string id, std::string_view purpose, std::string_view plain) const;
  [[nodiscard]] SecretBytes open(Sealed const& sealed, std::string_view purpose) const;

  // One column instead of a row: version, key id, id, nonce, body; the plain text is deflated first.
  [[nodiscard]] std::string seal_column(std::string_view purpose, std::string_view plain) const;
  [[nodiscard]] std::string open_column(std::string_view sealed, std::string_view purpose,
                                        std::size_t limit = 64U << 20U) const;

  // Of a sealed column: the key_id() of its key; "" when it is too short to have one.
  [[nodiscard]] static std::string_view column_key_id(std::string_view sealed) noexcept;
  static constexpr std::size_t kColumnHead = 37;  // bytes before the ciphertext: no two columns share them

 private:
  std::string domain_;
  SecretBytes key_;
  std::string key_id_;
};

}  // namespace sys
