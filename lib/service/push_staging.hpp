// Keys in staging: made here for a certificate request, sealed, and waiting for the certificate.
#pragma once

#include <optional>
#include <string>

#include "store/push_requests.hpp"
#include "sys/csr.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

enum class StagedKind { push, vendor };

// A new RSA-2048 key with its request, stored before anybody sees the request. Each call makes another: a
// request that was lost is made again, and whichever certificate comes finds its key.
sys::Csr stage_request(sys::Db& db, sys::KeyRing const& push_key, StagedKind kind,
                       sys::NameParts const& subject, std::string const& who, sys::Time now);

struct StagedKey {
  StagedKind kind = StagedKind::push;
  sys::Key key;
};
// The key that waits for this certificate, or stands with an earlier one of the same request.
std::optional<StagedKey> find_staged_key(sys::Db& db, sys::KeyRing const& push_key, sys::Cert const& cert);

// The certificate has come: its key leaves staging. To be called where it is stored, in that transaction.
void end_staging(sys::Db& db, sys::KeyRing const& push_key, sys::Cert const& cert);

}  // namespace service
