#include <catch2/catch.hpp>

#include "service/expiry.hpp"

using service::Expiry;
using service::expiry_words;
using service::judge_expiry;
using std::chrono::days;
using std::chrono::hours;

namespace {
sys::Time const kStart = sys::from_unix(1'800'000'000);
sys::Time const kYearEnd = kStart + days(365);
}  // namespace

TEST_CASE("Attention is asked for in the last sixth of a life, urgently in the last twelfth") {
  auto const at = [](int day) { return judge_expiry(kStart, kYearEnd, kStart + days(day)); };
  CHECK(at(-1) == Expiry::not_yet);
  CHECK(at(0) == Expiry::good);
  CHECK(at(304) == Expiry::good);
  CHECK(at(305) == Expiry::attention);
  CHECK(at(334) == Expiry::attention);
  CHECK(at(335) == Expiry::urgent);
  CHECK(at(365) == Expiry::urgent);
  CHECK(at(366) == Expiry::expired);
  CHECK(service::attention_from(kStart, kYearEnd) == kStart + days(305));
}

TEST_CASE("A year's certificate passes its thresholds 90, 60, 30, 14, 7 and 1 days before its end") {
  auto const left = [](int day) { return service::expiry_stage(kStart, kYearEnd, kYearEnd - days(day)); };
  CHECK(left(365) == 0);
  CHECK(left(91) == 0);
  int stage = 0;
  for (int const day : {90, 60, 30, 14, 7, 1}) CHECK(left(day) == ++stage);
  for (int const day : {61, 31, 15, 8, 2}) CHECK(left(day) < left(day - 1));
  CHECK(left(-1) == service::kExpiredStage);
}

TEST_CASE("A short life passes each threshold in days that leave time to act, the first after two thirds") {
  auto const stage = [](int life, int day) {
    return service::expiry_stage(kStart, kStart + days(life), kStart + days(life - day));
  };
  CHECK(stage(90, 31) == 0);  // where Let's Encrypt's clients have long renewed
  CHECK(stage(90, 23) == 0);
  CHECK(stage(90, 22) == 1);
  CHECK(stage(90, 7) == service::kUrgentStage);
  CHECK(stage(90, 1) == 6);
  CHECK(stage(6, 3) == 0);
  CHECK(stage(6, 2) >= service::kUrgentStage);
  CHECK(stage(3650, 901) == 0);
  CHECK(stage(3650, 600) == service::kAttentionStage);
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
