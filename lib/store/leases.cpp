#include "store/leases.hpp"

#include <array>

#include <unistd.h>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace store {

Lease::Lease(sys::Db& db, std::string name, std::string owner)
    : db_(db), name_(std::move(name)), owner_(std::move(owner)) {
  // The row is made expired, so that one compare-and-set decides for new and old names alike.
  db_.insert_unless_duplicate(
      "INSERT INTO leases (name, owner, lease_until) VALUES (?, ?, NOW(6) - INTERVAL 1 SECOND)",
      {name_, owner_});
  held_ = db_.execute(
              "UPDATE leases SET owner = ?, lease_until = NOW(6) + INTERVAL ? SECOND WHERE name = ? AND "
              "(lease_until < NOW(6) OR owner = ?)",
              {owner_, kLeaseSeconds, name_, owner_}) == 1;
}

void Lease::renew() {
  held_ =
      db_.execute("UPDATE leases SET lease_until = NOW(6) + INTERVAL ? SECOND WHERE name = ? AND owner = ?",
                  {kLeaseSeconds, name_, owner_}) == 1;
  if (!held_) throw sys::Error(sys::Fault::unavailable, "lease " + name_ + ": lost to another run");
}

Lease::~Lease() {
  if (!held_) return;
  try {
    db_.execute("UPDATE leases SET lease_until = NOW(6) - INTERVAL 1 SECOND WHERE name = ? AND owner = ?",
                {name_, owner_});
  } catch (sys::Error const&) {
    return;  // it ends by itself
  }
}

std::string lease_owner() {
  std::array<char, 33> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
  return std::string(host.data()) + ':' + std::to_string(::getpid()) + ':' + sys::hex(sys::random_bytes(6));
}

}  // namespace store
