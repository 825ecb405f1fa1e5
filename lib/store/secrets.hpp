// Sealed private keys and tokens, each behind the view of its domain: a program without that domain's grant
// and key file cannot read them.
#pragma once

#include <string>
#include <string_view>

#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

// Returns the id. `purpose` ("ca key NAME", "unlock-token UUID") is needed again to open it.
std::string put_secret(sys::Db& db, sys::KeyRing const& key, std::string_view purpose, std::string_view plain,
                       sys::Time now);

// Throws Error{not_found} when there is no such row in the key's domain, Error{internal} when it does not
// open.
sys::SecretBytes get_secret(sys::Db& db, sys::KeyRing const& key, std::string_view id,
                            std::string_view purpose);

void delete_secret(sys::Db& db, sys::KeyRing const& key, std::string_view id);

}  // namespace store
