#include "store/secrets.hpp"

#include "sys/error.hpp"

namespace store {

namespace {

// Only the names of our own domains reach the statement; no key file has another one.
std::string view_of(sys::KeyRing const& key) { return "secrets_" + key.domain(); }

}  // namespace

std::string put_secret(sys::Db& db, sys::KeyRing const& key, std::string_view purpose, std::string_view plain,
                       sys::Time now) {
  auto const sealing = key.sealing();
  auto const sealed = sealing.seal(purpose, plain);
  db.execute("INSERT INTO " + view_of(key) +
                 " (id, domain, purpose, key_id, nonce, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
             {sealed.id, key.domain(), purpose, sealing.key_id(), sealed.nonce, sealed.body, now});
  return sealed.id;
}

sys::SecretBytes get_secret(sys::Db& db, sys::KeyRing const& key, std::string_view id,
                            std::string_view purpose) {
  auto const row = db.query_row("SELECT nonce, body, key_id FROM " + view_of(key) + " WHERE id = ?", {id});
  if (!row) throw sys::Error(sys::Fault::not_found, "secret of domain " + key.domain() + ": no such row");
  return key.opening(row->text(2)).open({std::string(id), row->text(0), row->text(1)}, purpose);
}

void delete_secret(sys::Db& db, sys::KeyRing const& key, std::string_view id) {
  db.execute("DELETE FROM " + view_of(key) + " WHERE id = ?", {id});
}

}  // namespace store
