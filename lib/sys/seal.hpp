// Sealing by domain: AES-256-GCM under HKDF-SHA256(domain key, row id), with id, domain and purpose as
// associated data.
//
// A domain key is the 32 bytes of /etc/pomona/keys/DOMAIN.key = HKDF-SHA256(master, "pomona domain DOMAIN").
// `purpose` names what the value is and whose (for example "result:17:CommandUUID"), so that a row copied
// over another one does not open. Errors: Error{internal} when a value does not open: wrong key file or
// altered row; never says which byte.
#pragma once

#include <string>
#include <string_view>

#include "sys/bytes.hpp"

namespace sys {

class SealKey {
 public:
  SealKey(std::string domain, SecretBytes key);  // key: 32 bytes

  static SealKey from_master(std::string const& domain, SecretBytes const& master);
  static SealKey from_file(std::string const& folder,
                           std::string const& domain);  // reads FOLDER/DOMAIN.key (hex or 32 raw bytes)

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
  [[nodiscard]] SecretBytes open(Sealed const& sealed, std::string_view purpose) const;

  // One column instead of a row: version, key id, id, nonce, body; the plain text is deflated first.
  [[nodiscard]] std::string seal_column(std::string_view purpose, std::string_view plain) const;
  [[nodiscard]] std::string open_column(std::string_view sealed, std::string_view purpose,
                                        std::size_t limit = 64U << 20U) const;

 private:
  std::string domain_;
  SecretBytes key_;
  std::string key_id_;
};

}  // namespace sys
