// When an identity may be renewed.
#include <catch2/catch.hpp>

#include "service/renewal_window.hpp"

using service::in_renewal_window;
using std::chrono::microseconds;

namespace {
sys::Time const kFrom = sys::from_unix(1'000);
sys::Time const kUntil = sys::from_unix(2'000);
}  // namespace

TEST_CASE("an identity may be renewed from the middle of its life to its last moment") {
  CHECK_FALSE(in_renewal_window(kFrom, kUntil, kFrom));
  CHECK_FALSE(in_renewal_window(kFrom, kUntil, sys::from_unix(1'500) - microseconds(1)));
  CHECK(in_renewal_window(kFrom, kUntil, sys::from_unix(1'500)));
  CHECK(in_renewal_window(kFrom, kUntil, kUntil));
  CHECK_FALSE(in_renewal_window(kFrom, kUntil, kUntil + microseconds(1)));
  CHECK(service::renewal_opens(kFrom, kUntil) == sys::from_unix(1'500));
}

TEST_CASE("a life of no length has a window of one moment, and a century does not overflow") {
  CHECK(in_renewal_window(kFrom, kFrom, kFrom));
  auto const century = sys::from_unix(3'155'760'000);
  CHECK(service::renewal_opens(sys::from_unix(0), century) == sys::from_unix(1'577'880'000));
}
