// The keys of the active CA and its RA, opened once per thread and again when another CA or RA becomes
// active. Which ones are active is looked up at most every few seconds.
#pragma once

#include <map>
#include <optional>

#include "service/ca.hpp"

namespace service {

class CaKeys {
 public:
  explicit CaKeys(sys::KeyRing ca_domain) : domain_(std::move(ca_domain)) {}

  struct Active {
    CaKey ca;
    CaKey ra;  // what SCEP signs and decrypts with: the CA itself where it is a one-certificate CA
    [[nodiscard]] bool one_certificate() const noexcept { return ra.id == ca.id; }
  };
  // Error{unavailable} when there is no CA yet. The reference is good until the next call.
  Active const& active(sys::Db& db, sys::Time now);
  // The same, looking at the database in any case: a message names a recipient that we do not know.
  Active const& active_again(sys::Db& db, sys::Time now);

  // The key of a CA that may be active no more: for what it began to issue.
  CaKey const& issuer(sys::Db& db, std::int64_t ca_id);

 private:
  Active const& look(sys::Db& db, sys::Time now);

  sys::KeyRing domain_;
  std::optional<Active> active_;
  std::map<std::int64_t, CaKey> older_;
  sys::Time looked_at_{};
};

}  // namespace service
