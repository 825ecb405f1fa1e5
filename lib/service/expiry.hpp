// How near a certificate is to its end: the same thresholds for listings, checks, events and mails.
//
// A year's certificate passes six thresholds, 90, 60, 30, 14, 7 and 1 days before its end; one of another
// lifetime passes them at the same fractions of its life, but not later than kLeastDays before its end, nor
// earlier than a third of its life. Attention is asked for from the second on, with urgency from the third.
#pragma once

#include <array>
#include <string>

#include "sys/time.hpp"

namespace service {

inline constexpr std::array kYearsDays{90, 60, 30, 14, 7, 1};
inline constexpr std::array kLeastDays{14, 10, 7, 3, 2, 1};
inline constexpr int kAttentionStage = 2;
inline constexpr int kUrgentStage = 3;
inline constexpr int kExpiredStage = 7;

enum class Expiry { good, attention, urgent, expired, not_yet };

Expiry judge_expiry(sys::Time not_before, sys::Time not_after, sys::Time now);

// How many thresholds are passed; kExpiredStage when it is over. 0 also for one that is not good yet.
int expiry_stage(sys::Time not_before, sys::Time not_after, sys::Time now);
// When the threshold of that number, 1 to 6, is passed.
sys::Time threshold(int stage, sys::Time not_before, sys::Time not_after);

sys::Time attention_from(sys::Time not_before, sys::Time not_after);

// certbot's words: "VALID: 45 days", "VALID: 1 day", "VALID: 5 hour(s)", "INVALID: EXPIRED".
std::string expiry_words(sys::Time not_before, sys::Time not_after, sys::Time now);

}  // namespace service
