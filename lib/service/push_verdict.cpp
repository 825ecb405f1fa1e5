#include "service/push_verdict.hpp"

#include <algorithm>
#include <array>

namespace service {

namespace {

using proto::ApnsVerdict;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using sys::seconds;

// Longer with every failure in a row, up to a limit.
seconds back_off(seconds first, seconds most, std::int64_t attempts) {
  constexpr std::int64_t kMostDoublings = 16;
  return std::min(first * (std::int64_t{1} << std::clamp<std::int64_t>(attempts, 0, kMostDoublings)), most);
}

seconds delay(ApnsVerdict verdict, std::int64_t attempts) {
  switch (verdict) {
    case ApnsVerdict::slow_down:
      return back_off(minutes(1), hours(1), attempts);
    case ApnsVerdict::later:
      return back_off(minutes(15), hours(6), attempts);  // Apple: 15 minutes
    case ApnsVerdict::refused:
      return back_off(hours(1), hours(24), attempts);
    case ApnsVerdict::unregistered:
    case ApnsVerdict::bad_token:
      return minutes(15);  // until the verdict is applied, or if it is not
    case ApnsVerdict::topic_refused:
      return minutes(1);  // the device has no part in it
    case ApnsVerdict::no_answer:
    case ApnsVerdict::accepted:
      break;
  }
  return back_off(minutes(1), minutes(15), attempts);
}

bool counts_as_failure(ApnsVerdict verdict) {
  return verdict == ApnsVerdict::slow_down || verdict == ApnsVerdict::later ||
         verdict == ApnsVerdict::refused || verdict == ApnsVerdict::no_answer;
}

}  // namespace

PushDecision decide_push(store::ClaimedPush const& claimed, proto::ApnsAnswer const& answer, sys::Time now) {
  PushDecision decision;
  auto& outcome = decision.outcome;
  if (answer.status != 0) outcome.status = answer.status;
  outcome.reason = answer.reason;
  outcome.apns_id = answer.apns_id;
  if (answer.verdict == ApnsVerdict::accepted) {
    outcome.pushed_at = now;
    // NotNow and silent devices: told again, should commands still wait then.
    outcome.next_due = now + back_off(minutes(5), hours(12), claimed.unanswered);
    return decision;
  }
  outcome.next_due = now + delay(answer.verdict, claimed.attempts);
  // While a token is dead, `attempts` counts the tries since then.
  bool const count = counts_as_failure(answer.verdict) && !claimed.dead_since;
  outcome.attempts = claimed.attempts + (count ? 1 : 0);
  decision.token_dead =
      answer.verdict == ApnsVerdict::unregistered || answer.verdict == ApnsVerdict::bad_token;
  return decision;
}

store::PushOutcome unusable_push(std::string const& why, store::ClaimedPush const& claimed, sys::Time now) {
  store::PushOutcome outcome;
  outcome.reason = why;
  outcome.attempts = claimed.attempts + (claimed.dead_since ? 0 : 1);
  outcome.next_due = now + days(1);  // only a TokenUpdate mends it
  return outcome;
}

store::DeadToken dead_token(store::ClaimedPush const& claimed, proto::ApnsAnswer const& answer,
                            PushDecision const& decision, sys::Time now) {
  constexpr std::array kTries{days(1), days(7), days(30)};
  store::DeadToken dead{claimed, decision.outcome.next_due, answer.timestamp, std::nullopt, 1};
  if (claimed.dead_since) dead.attempts = claimed.attempts + 1;
  if (dead.attempts <= static_cast<std::int64_t>(kTries.size())) {
    dead.next_due = claimed.dead_since.value_or(now) + kTries.at(static_cast<std::size_t>(dead.attempts) - 1);
  }
  return dead;
}

bool stands_alone(store::ClaimedPush const& claimed, proto::ApnsAnswer const& answer) {
  return answer.verdict == ApnsVerdict::unregistered || claimed.dead_since.has_value();
}

store::DeadToken doubted_token(store::DeadToken dead, sys::Time now) {
  dead.attempts = dead.claimed.attempts + 1;
  dead.next_due = now + back_off(minutes(15), hours(24), dead.claimed.attempts);
  return dead;
}

void TopicTally::add(proto::ApnsAnswer const& answer) {
  ++sent_;
  if (answer.verdict == ApnsVerdict::accepted) ++accepted_;
  if (proto::counts_as_refusal(answer)) ++refusals_;
  topic_refused_ = topic_refused_ || answer.verdict == ApnsVerdict::topic_refused;
  silent_in_a_row_ = answer.verdict == ApnsVerdict::no_answer ? silent_in_a_row_ + 1 : 0;
  // What is told of a stop is the latest reason of its own kind.
  bool const telling =
      topic_refused_ ? answer.verdict == ApnsVerdict::topic_refused : answer.verdict != ApnsVerdict::accepted;
  if (telling) last_reason_ = answer.reason;
}

TopicTally::Stop TopicTally::judge(std::int64_t whole) const {
  constexpr std::int64_t kMostRefusals = 20;
  constexpr std::int64_t kPartsOfWhole = 50;  // 2 %
  if (topic_refused_) return Stop::refused;
  if (refusals_ > kMostRefusals && refusals_ * kPartsOfWhole > whole) return Stop::too_many;
  return Stop::none;
}

TopicTally::Stop TopicTally::while_sending() const {
  constexpr std::int64_t kMostSilent = 20;
  auto const stop = judge(std::max(due_, sent_));
  return stop == Stop::none && silent_in_a_row_ >= kMostSilent ? Stop::unreachable : stop;
}

TopicTally::Stop TopicTally::after_all() const {
  auto const stop = judge(sent_);
  bool const silent = sent_ > 0 && silent_in_a_row_ == sent_;
  return stop == Stop::none && (silent || while_sending() == Stop::unreachable) ? Stop::unreachable : stop;
}

}  // namespace service
