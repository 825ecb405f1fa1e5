#include "service/expiry.hpp"

#include <algorithm>

namespace service {

sys::Time threshold(int stage, sys::Time not_before, sys::Time not_after) {
  constexpr int kYear = 365;
  auto const at = static_cast<std::size_t>(stage - 1);
  sys::Time::duration const life = not_after - not_before;
  sys::Time::duration const share = life / kYear * kYearsDays.at(at);
  sys::Time::duration const least = std::chrono::days(kLeastDays.at(at));
  return not_after - std::min(std::max(share, least), life / 3);
}

int expiry_stage(sys::Time not_before, sys::Time not_after, sys::Time now) {
  if (now > not_after) return kExpiredStage;
  int stage = 0;
  while (stage < kExpiredStage - 1 && now >= threshold(stage + 1, not_before, not_after)) ++stage;
  return stage;
}

sys::Time attention_from(sys::Time not_before, sys::Time not_after) {
  return threshold(kAttentionStage, not_before, not_after);
}

Expiry judge_expiry(sys::Time not_before, sys::Time not_after, sys::Time now) {
  if (now < not_before) return Expiry::not_yet;
  int const stage = expiry_stage(not_before, not_after, now);
  if (stage == kExpiredStage) return Expiry::expired;
  if (stage >= kUrgentStage) return Expiry::urgent;
  return stage >= kAttentionStage ? Expiry::attention : Expiry::good;
}

std::string expiry_words(sys::Time not_before, sys::Time not_after, sys::Time now) {
  if (now < not_before) return "INVALID: NOT YET VALID";
  if (now > not_after) return "INVALID: EXPIRED";
  auto const days = std::chrono::floor<std::chrono::days>(not_after - now).count();
  if (days == 1) return "VALID: 1 day";
  if (days > 1) return "VALID: " + std::to_string(days) + " days";
  auto const hours = std::chrono::floor<std::chrono::hours>(not_after - now).count();
  return "VALID: " + std::to_string(hours) + " hour(s)";
}

}  // namespace service
