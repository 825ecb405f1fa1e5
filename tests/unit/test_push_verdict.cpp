#include <catch2/catch.hpp>

#include "service/push_verdict.hpp"

namespace {

using proto::ApnsVerdict;
using service::TopicTally;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

auto const kNow = sys::from_unix(1'800'000'000);

proto::ApnsAnswer answer(long status, std::string const& reason = "") {
  return proto::read_apns_answer(status, "", "{\"reason\":\"" + reason + "\"}");
}

store::ClaimedPush claimed(std::int64_t attempts = 0) {
  store::ClaimedPush push;
  push.enrollment_id = 1;
  push.due_at = kNow;
  push.attempts = attempts;
  return push;
}

TopicTally tally(std::int64_t due, int accepted, int refused) {
  TopicTally out(due);
  for (int i = 0; i < accepted; ++i) out.add(answer(200));
  for (int i = 0; i < refused; ++i) out.add(answer(400, "BadDeviceToken"));
  return out;
}

}  // namespace

TEST_CASE("An accepted push is repeated after 5 minutes, then longer, and forgets failures") {
  auto push = claimed(5);
  auto const decision = service::decide_push(push, answer(200), kNow);
  CHECK(decision.outcome.next_due == kNow + minutes(5));
  CHECK(decision.outcome.attempts == 0);
  CHECK(decision.outcome.pushed_at == kNow);
  push.unanswered = 3;
  CHECK(service::decide_push(push, answer(200), kNow).outcome.next_due == kNow + minutes(40));
  push.unanswered = 1000;
  CHECK(service::decide_push(push, answer(200), kNow).outcome.next_due == kNow + hours(12));
}

TEST_CASE("A bad token may be a wrong certificate; an unregistered or a dead one stands alone") {
  auto push = claimed(1);
  auto const bad = answer(400, "BadDeviceToken");
  CHECK_FALSE(service::stands_alone(push, bad));
  CHECK(service::stands_alone(push, answer(410, "Unregistered")));
  auto const doubted = service::doubted_token(
      service::dead_token(push, bad, service::decide_push(push, bad, kNow), kNow), kNow);
  CHECK(doubted.attempts == 2);
  CHECK(doubted.next_due == kNow + minutes(30));
  push.dead_since = kNow;
  CHECK(service::stands_alone(push, bad));
}

TEST_CASE("Trouble of APNs is waited out 15 minutes, then longer, at most 6 hours") {
  CHECK(service::decide_push(claimed(0), answer(503), kNow).outcome.next_due == kNow + minutes(15));
  CHECK(service::decide_push(claimed(2), answer(503), kNow).outcome.next_due == kNow + hours(1));
  CHECK(service::decide_push(claimed(1000), answer(503), kNow).outcome.next_due == kNow + hours(6));
  CHECK(service::decide_push(claimed(2), answer(503), kNow).outcome.attempts == 3);
}

TEST_CASE("Only verdicts about the token make it dead") {
  for (long const status : {0L, 403L, 404L, 429L, 500L, 503L})
    CHECK_FALSE(service::decide_push(claimed(), answer(status), kNow).token_dead);
  for (auto const* reason : {"BadTopic", "TopicDisallowed", "BadCertificate", "BadMessageId", ""})
    CHECK_FALSE(service::decide_push(claimed(), answer(400, reason), kNow).token_dead);
  CHECK(service::decide_push(claimed(), answer(400, "BadDeviceToken"), kNow).token_dead);
  CHECK(service::decide_push(claimed(), answer(410, "Unregistered"), kNow).token_dead);
}

TEST_CASE("A refused topic is no failure of the device") {
  auto const decision = service::decide_push(claimed(3), answer(403, "BadCertificate"), kNow);
  CHECK(decision.outcome.attempts == 3);
  CHECK(decision.outcome.next_due == kNow + minutes(1));
}

TEST_CASE("A dead token is tried 1, 7 and 30 days after its death") {
  auto push = claimed(4);
  auto const bad = answer(400, "BadDeviceToken");
  auto dead = service::dead_token(push, bad, service::decide_push(push, bad, kNow), kNow);
  CHECK(dead.attempts == 1);
  CHECK(dead.next_due == kNow + days(1));
  push.dead_since = kNow;
  struct Step {
    std::int64_t attempts;
    std::optional<sys::Time> next_due;
  };
  for (auto const& step : {Step{1, kNow + days(7)}, Step{2, kNow + days(30)}, Step{3, std::nullopt}}) {
    push.attempts = step.attempts;
    auto const later = kNow + days(1);
    dead = service::dead_token(push, bad, service::decide_push(push, bad, later), later);
    CHECK(dead.attempts == step.attempts + 1);
    CHECK(dead.next_due == step.next_due);
  }
  // Trouble of APNs in between does not use up a try.
  CHECK(service::decide_push(push, answer(503), kNow).outcome.attempts == push.attempts);
}

TEST_CASE(
    "A topic is stopped by more than 20 and more than 2 percent of refusals, by one about itself at once") {
  CHECK(tally(1000, 0, 20).after_all() == TopicTally::Stop::none);
  CHECK(tally(1000, 0, 21).after_all() == TopicTally::Stop::too_many);
  CHECK(tally(1050, 1029, 21).after_all() == TopicTally::Stop::none);  // exactly 2 percent
  CHECK(tally(1049, 1028, 21).after_all() == TopicTally::Stop::too_many);
  auto refused = tally(1000, 500, 0);
  refused.add(answer(400, "TopicDisallowed"));
  CHECK(refused.while_sending() == TopicTally::Stop::refused);
  CHECK(refused.last_reason() == "TopicDisallowed");
}

TEST_CASE("While sending, refusals are held against all that is due") {
  CHECK(tally(100'000, 0, 500).while_sending() == TopicTally::Stop::none);
  CHECK(tally(10'000, 0, 201).while_sending() == TopicTally::Stop::too_many);
  CHECK(tally(1, 0, 21).while_sending() == TopicTally::Stop::too_many);
}

TEST_CASE("Devices that left are no refusals, however many") {
  TopicTally left(100);
  for (int i = 0; i < 100; ++i) left.add(answer(410, "Unregistered"));
  CHECK(left.after_all() == TopicTally::Stop::none);
}

TEST_CASE("A service that never answers is given up; one lost answer is not") {
  TopicTally silent(1000);
  for (int i = 0; i < 20; ++i) silent.add(answer(0));
  CHECK(silent.while_sending() == TopicTally::Stop::unreachable);
  TopicTally one(1);
  one.add(answer(0));
  CHECK(one.while_sending() == TopicTally::Stop::none);
  CHECK(one.after_all() == TopicTally::Stop::unreachable);
  TopicTally mixed(2);
  mixed.add(answer(0));
  mixed.add(answer(200));
  CHECK(mixed.after_all() == TopicTally::Stop::none);
  CHECK(TopicTally(0).after_all() == TopicTally::Stop::none);
}
