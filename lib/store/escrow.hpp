// What devices entrust to the server: unlock tokens and bootstrap tokens, sealed in domain escrow under a
// purpose that names kind and enrolment. Each call belongs into a transaction of the caller's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/bytes.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

enum class EscrowKind { unlock_token, bootstrap_token };
std::string_view escrow_kind_name(EscrowKind kind) noexcept;  // "unlock-token"

struct EscrowOwner {
  std::int64_t enrollment_id = 0;  // a device channel
  std::string uuid;                // its uuid
};

void put_escrow(sys::Db& db, sys::KeyRing const& escrow_key, EscrowOwner const& owner, EscrowKind kind,
                sys::SecretBytes const& value, sys::Time now);
std::optional<sys::SecretBytes> get_escrow(sys::Db& db, sys::KeyRing const& escrow_key,
                                           EscrowOwner const& owner, EscrowKind kind);
// False when there was none.
bool erase_escrow(sys::Db& db, sys::KeyRing const& escrow_key, EscrowOwner const& owner, EscrowKind kind);

struct EscrowRow {
  std::string kind;
  sys::Time updated_at;
};
std::vector<EscrowRow> list_escrow(sys::Db& db, std::int64_t enrollment_id);  // what there is, not its value

}  // namespace store
