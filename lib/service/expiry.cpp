#include "service/expiry.hpp"

namespace service {

sys::Time attention_from(sys::Time not_before, sys::Time not_after) {
  return not_after - (not_after - not_before) / 6;
}

Expiry judge_expiry(sys::Time not_before, sys::Time not_after, sys::Time now) {
  if (now < not_before) return Expiry::not_yet;
  if (now > not_after) return Expiry::expired;
  auto const life = not_after - not_before;
  auto const left = not_after - now;
  if (left * 12 < life) return Expiry::urgent;
  if (now > attention_from(not_before, not_after)) return Expiry::attention;
  return Expiry::good;
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
