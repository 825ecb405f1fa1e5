#include "store/escrow.hpp"

#include "store/secrets.hpp"

namespace store {

namespace {

std::string purpose(EscrowOwner const& owner, EscrowKind kind) {
  return std::string(escrow_kind_name(kind)) + ' ' + owner.uuid;
}

std::optional<std::string> secret_id(sys::Db& db, std::int64_t enrollment_id, EscrowKind kind,
                                     char const* lock) {
  auto const row =
      db.query_row(std::string("SELECT secret_id FROM escrow WHERE enrollment_id = ? AND kind = ?") + lock,
                   {enrollment_id, escrow_kind_name(kind)});
  if (!row) return std::nullopt;
  return row->text(0);
}

}  // namespace

std::string_view escrow_kind_name(EscrowKind kind) noexcept {
  return kind == EscrowKind::unlock_token ? "unlock-token" : "bootstrap-token";
}

void put_escrow(sys::Db& db, sys::KeyRing const& escrow_key, EscrowOwner const& owner, EscrowKind kind,
                sys::SecretBytes const& value, sys::Time now) {
  auto const old = secret_id(db, owner.enrollment_id, kind, " FOR UPDATE");
  std::string const fresh = put_secret(db, escrow_key, purpose(owner, kind), value.view(), now);
  db.execute(
      "INSERT INTO escrow (enrollment_id, kind, secret_id, updated_at) VALUES (?, ?, ?, ?) "
      "ON DUPLICATE KEY UPDATE secret_id = VALUES(secret_id), updated_at = VALUES(updated_at)",
      {owner.enrollment_id, escrow_kind_name(kind), fresh, now});
  if (old) delete_secret(db, escrow_key, *old);
}

std::optional<sys::SecretBytes> get_escrow(sys::Db& db, sys::KeyRing const& escrow_key,
                                           EscrowOwner const& owner, EscrowKind kind) {
  auto const id = secret_id(db, owner.enrollment_id, kind, "");
  if (!id) return std::nullopt;
  return get_secret(db, escrow_key, *id, purpose(owner, kind));
}

bool erase_escrow(sys::Db& db, sys::KeyRing const& escrow_key, EscrowOwner const& owner, EscrowKind kind) {
  auto const old = secret_id(db, owner.enrollment_id, kind, " FOR UPDATE");
  if (!old) return false;
  db.execute("DELETE FROM escrow WHERE enrollment_id = ? AND kind = ?",
             {owner.enrollment_id, escrow_kind_name(kind)});
  delete_secret(db, escrow_key, *old);
  return true;
}

std::vector<EscrowRow> list_escrow(sys::Db& db, std::int64_t enrollment_id) {
  std::vector<EscrowRow> all;
  for (auto const& row :
       db.query("SELECT kind, updated_at FROM escrow WHERE enrollment_id = ? ORDER BY kind", {enrollment_id}))
    all.push_back({row.text(0), row.time(1)});
  return all;
}

}  // namespace store
