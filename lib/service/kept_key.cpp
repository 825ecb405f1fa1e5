#include "service/kept_key.hpp"

#include "store/secrets.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

using store::CertificateRow;
using sys::Error;
using sys::Fault;

namespace {

std::string purpose_of(CertificateRow const& row) {
  return row.kind + " key " + sys::hex(row.sha256.value_or(""));
}

}  // namespace

std::int64_t keep_certificate(sys::Db& db, sys::KeyRing const& ring, store::CertView view, CertificateRow row,
                              sys::Key const& key, sys::Time now) {
  auto const before = store::find_certificate_by_sha256(db, view, row.sha256.value_or(""));
  if (before) {
    if (before->status != store::CertStatus::active)
      store::set_certificate_status(db, view, before->id, store::CertStatus::active, now);
    if (kept_key_opens(db, ring, *before)) return before->id;
  }
  auto const secret = store::put_secret(db, ring, purpose_of(row), key.private_pem().view(), now);
  if (before) {
    store::set_certificate_secret(db, view, before->id, secret);
    return before->id;
  }
  row.status = store::CertStatus::active;
  row.created_at = now;
  row.secret_id = secret;
  return store::insert_certificate(db, view, row);
}

sys::SecretBytes open_kept_key(sys::Db& db, sys::KeyRing const& ring, CertificateRow const& row) {
  if (!row.secret_id || !row.sha256) {
    throw Error(Fault::internal, row.kind + " certificate of " + row.topic.value_or(row.subject) +
                                     ": it has no key; import it again");
  }
  return store::get_secret(db, ring, *row.secret_id, purpose_of(row));
}

bool kept_key_opens(sys::Db& db, sys::KeyRing const& ring, CertificateRow const& row) {
  try {
    (void)open_kept_key(db, ring, row);
    return true;
  } catch (Error const& error) {
    if (error.fault() == Fault::not_found || error.fault() == Fault::internal) return false;
    throw;
  }
}

}  // namespace service
