// The keys of a domain as a program holds them: the one to seal with, and while they are rotated one more
// that still opens.
//
// DOMAIN.key has one key a line (64 hex digits; or, with a single key, 32 raw bytes): the first one seals,
// each opens. `pomona secrets rotate` replaces the file under running programs, so it is looked at before
// each use (one stat) and read again when it is another one, or when a value was sealed under a key that is
// not in it. Should it be gone or unreadable then, the keys that were read before go on serving. Copies share
// what they have read; any thread may use them. Errors: those of SealKey; Error{not_found} without a file at
// the start.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sys/seal.hpp"

namespace sys {

// Throws Error{not_found} or Error{internal} naming the file; at least one key.
std::vector<SealKey> read_key_file(std::string const& path, std::string const& domain);
SecretBytes key_file_text(std::vector<SealKey> const& keys);

class KeyRing {
 public:
  // Reads FOLDER/DOMAIN.key.
  static KeyRing from_file(std::string const& folder, std::string const& domain);

  [[nodiscard]] std::string const& domain() const noexcept;
  [[nodiscard]] SealKey sealing() const;
  [[nodiscard]] SealKey opening(std::string_view key_id) const;  // Error{internal} when there is none
  [[nodiscard]] std::vector<SealKey> all() const;                // the sealing one first

  [[nodiscard]] std::string seal_column(std::string_view purpose, std::string_view plain) const;
  [[nodiscard]] std::string open_column(std::string_view sealed, std::string_view purpose,
                                        std::size_t limit = 64U << 20U) const;

 private:
  struct State;
  explicit KeyRing(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace sys
