// When an identity may be renewed: in the second half of its life. Pure; both dates belong to the life.
//
// SCEP's RenewalReq is taken only inside it (RFC 8894 section 2.5 leaves it to the CA; half is common
// practice). `pomona enrollment renew` does not look at it.
#pragma once

#include "sys/time.hpp"

namespace service {

constexpr sys::Time renewal_opens(sys::Time not_before, sys::Time not_after) noexcept {
  return not_before + (not_after - not_before) / 2;
}

constexpr bool in_renewal_window(sys::Time not_before, sys::Time not_after, sys::Time now) noexcept {
  return renewal_opens(not_before, not_after) <= now && now <= not_after;
}

}  // namespace service
