// What one answer of APNs means for the row of an enrolment, and what a topic's answers mean together. Pure
// decisions; docs/data-and-trust.md section 9.
//
// One answer never buries a device: verdicts about tokens are applied after the round of the topic, and not
// at all when APNs refused the topic or too large a share of it (a wrong certificate, a wrong environment).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proto/apns.hpp"
#include "store/push.hpp"
#include "sys/time.hpp"

namespace service {

struct PushDecision {
  store::PushOutcome outcome;  // written at once; for a dead token a provisional one: try again soon.
                               // Accepted: told again after 5 minutes, then longer, at most 12 hours
  bool token_dead = false;
};
PushDecision decide_push(store::ClaimedPush const& claimed, proto::ApnsAnswer const& answer, sys::Time now);

// The claimed row's device sent something that cannot be pushed to.
store::PushOutcome unusable_push(std::string const& why, store::ClaimedPush const& claimed, sys::Time now);

// What is written when a decision about a dead token stands. Tried again 1, 7 and 30 days after the death.
store::DeadToken dead_token(store::ClaimedPush const& claimed, proto::ApnsAnswer const& answer,
                            PushDecision const& decision, sys::Time now);

// Whether a verdict about a token needs no other push of the topic that APNs took to be believed: APNs knows
// the token it calls unregistered, and the dead are dead already. A bad token may as well be a wrong
// certificate.
bool stands_alone(store::ClaimedPush const& claimed, proto::ApnsAnswer const& answer);

// What is written when it is not believed: tried again in 15 minutes, then longer, at most a day.
store::DeadToken doubted_token(store::DeadToken dead, sys::Time now);

// The answers of one topic in one round.
class TopicTally {
 public:
  explicit TopicTally(std::int64_t due) : due_(due) {}

  void add(proto::ApnsAnswer const& answer);

  enum class Stop {
    none,
    refused,     // APNs refuses this certificate or topic
    too_many,    // more than 20 and more than 2 % of the topic's pushes got 400 or 403
    unreachable  // no answer comes any more
  };
  // Whether to go on sending. `too_many` counts against all that is due, so that it is never said too early.
  [[nodiscard]] Stop while_sending() const;
  // Whether the verdicts stand, against what was sent.
  [[nodiscard]] Stop after_all() const;

  [[nodiscard]] std::int64_t sent() const noexcept { return sent_; }
  [[nodiscard]] std::int64_t accepted() const noexcept { return accepted_; }
  [[nodiscard]] std::int64_t refusals() const noexcept { return refusals_; }
  [[nodiscard]] std::string const& last_reason() const noexcept { return last_reason_; }

 private:
  [[nodiscard]] Stop judge(std::int64_t whole) const;

  std::int64_t due_;
  std::int64_t sent_ = 0;
  std::int64_t accepted_ = 0;
  std::int64_t refusals_ = 0;
  std::int64_t silent_in_a_row_ = 0;
  bool topic_refused_ = false;
  std::string last_reason_;
};

}  // namespace service
