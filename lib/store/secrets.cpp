#include "store/secrets.hpp"

#include "sys/error.hpp"

namespace store {

namespace {

// Only the names of our own domains reach the statement; a SealKey of another name cannot be made from a key
// file.
std::string view_of(sys::SealKey const& key) { return "secrets_" + key.domain(); }

}  // namespace

std::string put_secret(sys::Db& db, sys::SealKey const& key, std::string_view purpose, std::string_view plain,
                       sys::Time now) {
  auto const sealed = key.seal(purpose, plain);
  db.execute("INSERT INTO " + view_of(key) +
                 " (id, domain, purpose, key_id, nonce, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
             {sealed.id, key.domain(), purpose, key.key_id(), sealed.nonce, sealed.body, now});
  return sealed.id;
}

sys::SecretBytes get_secret(sys::Db& db, sys::SealKey const& key, std::string_view id,
                            std::string_view purpose) {
  auto const row = db.query_row("SELECT nonce, body, key_id FROM " + view_of(key) + " WHERE id = ?", {id});
  if (!row) throw sys::Error(sys::Fault::not_found, "secret of domain " + key.domain() + ": no such row");
  if (row->text(2) != key.key_id()) {
    throw sys::Error(sys::Fault::internal, "secret of domain " + key.domain() +
                                               ": it was sealed under another key than key-dir holds now");
  }
  return key.open({std::string(id), row->text(0), row->text(1)}, purpose);
}

void delete_secret(sys::Db& db, sys::SealKey const& key, std::string_view id) {
  db.execute("DELETE FROM " + view_of(key) + " WHERE id = ?", {id});
}

}  // namespace store
