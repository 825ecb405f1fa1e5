// Certificates whose private key is kept beside them, sealed in the domain of `ring` and bound to the
// certificate by kind and SHA-256: push, vendor and mdmcert. The `pomona` command writes them; pomona-push
// opens the key of push certificates.
#pragma once

#include <cstdint>

#include "store/certificates.hpp"
#include "sys/bytes.hpp"
#include "sys/key.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

// Makes the certificate active: the row that there is, or a new one. A key that is there and opens is left as
// it is; one that is gone or was altered is replaced by this one. Returns the id. In a transaction.
std::int64_t keep_certificate(sys::Db& db, sys::KeyRing const& ring, store::CertView view,
                              store::CertificateRow row, sys::Key const& key, sys::Time now);

// As PEM. Error{internal} or Error{not_found} when there is none that opens; import it again.
sys::SecretBytes open_kept_key(sys::Db& db, sys::KeyRing const& ring, store::CertificateRow const& row);
bool kept_key_opens(sys::Db& db, sys::KeyRing const& ring, store::CertificateRow const& row);

}  // namespace service
