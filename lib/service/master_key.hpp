// The master key file: from it every domain key is derived, also those of former generations.
//
// Lines: 64 hex digits, the master key; `DOMAIN N` for each domain whose key is of generation N > 1; while
// keys are rotated `rotating DOMAIN` for each that is not done, and `previous HEX`, the master before a new
// one. Nothing else is needed to make every domain key again. Errors: Error{conflict} naming the file when it
// cannot be read as such.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sys/bytes.hpp"
#include "sys/seal.hpp"

namespace service {

struct MasterKey {
  sys::SecretBytes key;                         // 32 bytes
  std::map<std::string, int> generations = {};  // of domains above 1
  std::set<std::string> rotating = {};
  std::optional<sys::SecretBytes> previous = {};  // while the domains are moved from it to `key`

  [[nodiscard]] int generation(std::string const& domain) const;
  // The key that the domain is to have.
  [[nodiscard]] sys::SealKey domain_key(std::string const& domain) const;
  // The key of that id, of whatever generation and of the previous master too; nullopt: it is not derived
  // from this file.
  [[nodiscard]] std::optional<sys::SealKey> find(std::string const& domain, std::string_view key_id) const;
  // Of the key of that id, under this master; 0: it is none of its keys.
  [[nodiscard]] int generation_of(std::string const& domain, std::string_view key_id) const;
  // Whether a new master was begun and not every domain has come to it. A `previous` that an admin wrote in
  // for a backup's sake is no beginning.
  [[nodiscard]] bool under_way() const { return previous.has_value() && !rotating.empty(); }
  // What a lost domain key file is made anew with: domain_key(), and what may still be needed to open.
  [[nodiscard]] std::vector<sys::SealKey> domain_keys(std::string const& domain) const;
};

inline constexpr int kMostGenerations = 1000;

MasterKey new_master_key();
MasterKey parse_master_key(sys::SecretBytes const& text, std::string const& path);
MasterKey read_master_key(std::string const& path);
sys::SecretBytes master_key_text(MasterKey const& master);

}  // namespace service
