// How near a certificate is to its end, by the fraction of its life that is left: the same thresholds for the
// listings, the checks and the mails.
//
// Attention below a sixth (a year's certificate: 60 days), urgent below a twelfth (30 days).
#pragma once

#include <string>

#include "sys/time.hpp"

namespace service {

enum class Expiry { good, attention, urgent, expired, not_yet };

Expiry judge_expiry(sys::Time not_before, sys::Time not_after, sys::Time now);

sys::Time attention_from(sys::Time not_before, sys::Time not_after);

// certbot's words: "VALID: 45 days", "VALID: 1 day", "VALID: 5 hour(s)", "INVALID: EXPIRED".
std::string expiry_words(sys::Time not_before, sys::Time not_after, sys::Time now);

}  // namespace service
