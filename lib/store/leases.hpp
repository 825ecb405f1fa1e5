// Row leases by the database clock (compare-and-set, committed before the work): what holds where row locks
// and GET_LOCK do not.
#pragma once

#include <string>

#include "sys/mariadb.hpp"

namespace store {

inline constexpr int kLeaseSeconds = 30;

// Tries once to take the lease; gives it back at the end of its life. Not to be used inside a transaction.
class Lease {
 public:
  Lease(sys::Db& db, std::string name, std::string owner);
  Lease(Lease const&) = delete;
  Lease& operator=(Lease const&) = delete;
  ~Lease();

  [[nodiscard]] bool held() const noexcept { return held_; }
  void renew();  // throws Error{unavailable} when it was lost

 private:
  sys::Db& db_;
  std::string name_;
  std::string owner_;
  bool held_ = false;
};

// host:pid:random, at most 64 characters: names one run of one program.
std::string lease_owner();

}  // namespace store
