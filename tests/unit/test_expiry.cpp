#include <catch2/catch.hpp>

#include "service/expiry.hpp"

using service::Expiry;
using service::expiry_words;
using service::judge_expiry;
using std::chrono::days;
using std::chrono::hours;

namespace {
sys::Time const kStart = sys::from_unix(1'800'000'000);
sys::Time const kYearEnd = kStart + days(360);
}  // namespace

TEST_CASE("Attention is asked for in the last sixth of a life, urgently in the last twelfth") {
  auto const at = [](int day) { return judge_expiry(kStart, kYearEnd, kStart + days(day)); };
  CHECK(at(-1) == Expiry::not_yet);
  CHECK(at(0) == Expiry::good);
  CHECK(at(300) == Expiry::good);
  CHECK(at(301) == Expiry::attention);
  CHECK(at(330) == Expiry::attention);
  CHECK(at(331) == Expiry::urgent);
  CHECK(at(360) == Expiry::urgent);
  CHECK(at(361) == Expiry::expired);
  CHECK(service::attention_from(kStart, kYearEnd) == kStart + days(300));
}

TEST_CASE("The words about an expiry are certbot's") {
  auto const left = [](auto time) { return expiry_words(kStart, kYearEnd, kYearEnd - time); };
  CHECK(left(days(45)) == "VALID: 45 days");
  CHECK(left(hours(47)) == "VALID: 1 day");
  CHECK(left(hours(23)) == "VALID: 23 hour(s)");
  CHECK(left(std::chrono::minutes(5)) == "VALID: 0 hour(s)");
  CHECK(left(-std::chrono::seconds(1)) == "INVALID: EXPIRED");
  CHECK(expiry_words(kStart, kYearEnd, kStart - hours(1)) == "INVALID: NOT YET VALID");
}
