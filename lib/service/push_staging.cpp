#include "service/push_staging.hpp"

#include "service/kept_key.hpp"
#include "store/events.hpp"
#include "store/secrets.hpp"
#include "sys/digest.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

std::string purpose_of(std::string_view spki_sha256) { return "push request key " + sys::hex(spki_sha256); }

// A second certificate for a request that has had one: its key stands with that.
std::optional<StagedKey> key_of_former(sys::Db& db, sys::KeyRing const& push_key, sys::Cert const& cert) {
  for (auto const& row :
       store::list_certificates(db, store::CertView::all, {.spki_sha256 = cert.spki_sha256()})) {
    if ((row.kind != "push" && row.kind != "vendor") || !kept_key_opens(db, push_key, row)) continue;
    auto const pem = open_kept_key(db, push_key, row);
    return StagedKey{row.kind == "vendor" ? StagedKind::vendor : StagedKind::push,
                     sys::Key::read_private(pem.view())};
  }
  return std::nullopt;
}

char const* name_of(StagedKind kind) { return kind == StagedKind::vendor ? "vendor" : "push"; }

}  // namespace

sys::Csr stage_request(sys::Db& db, sys::KeyRing const& push_key, StagedKind kind,
                       sys::NameParts const& subject, std::string const& who, sys::Time now) {
  constexpr unsigned kBits = 2048;
  auto const key = sys::Key::generate_rsa(kBits);
  auto csr = sys::Csr::build(subject, key);
  store::PushRequestRow row;
  row.kind = name_of(kind);
  row.spki_sha256 = sys::sha256(key.public_der());
  row.subject = csr.subject();
  row.csr = csr.der();
  row.created_at = now;
  row.created_by = who;
  db.transaction([&] {
    row.secret_id =
        store::put_secret(db, push_key, purpose_of(row.spki_sha256), key.private_pem().view(), now);
    store::insert_push_request(db, row);
    store::Event event{"push-cert.requested", who};
    event.detail = std::string(name_of(kind)) + " certificate, " + row.subject;
    store::record_event(db, event, now);
  });
  return csr;
}

std::optional<StagedKey> find_staged_key(sys::Db& db, sys::KeyRing const& push_key, sys::Cert const& cert) {
  auto const row = store::find_push_request(db, cert.spki_sha256());
  if (!row) return key_of_former(db, push_key, cert);
  auto const pem = store::get_secret(db, push_key, row->secret_id, purpose_of(row->spki_sha256));
  return StagedKey{row->kind == "vendor" ? StagedKind::vendor : StagedKind::push,
                   sys::Key::read_private(pem.view())};
}

void end_staging(sys::Db& db, sys::KeyRing const& push_key, sys::Cert const& cert) {
  auto const row = store::find_push_request(db, cert.spki_sha256());
  if (!row) return;
  store::delete_push_request(db, row->id);
  store::delete_secret(db, push_key, row->secret_id);
}

}  // namespace service
