// Who is to be pushed, and when: push_state, one row an enrolment, apart from enrollments.
//
// A push only says "poll". Whoever queues a command calls mark_push_due() in the same transaction;
// pomona-push claims due rows (store/push_claim.hpp), pushes, and records. Everything recorded is compared
// with the lease or with what was sent, so that a worker that was stopped for an hour harms nothing. A push
// that APNs took is repeated while commands wait: due_at is the next one, `unanswered` counts them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/push_claim.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

// The next run pushes at or after `at`, and repetitions begin anew. Sets the time even where one is set: a
// push under way then does not clear it. A dead token keeps the time of its next try.
void mark_push_due(sys::Db& db, std::int64_t enrollment_id, sys::Time at);

// A token that APNs called dead is believed again; where commands wait a push is due at `now`. For any
// message of a device whose row says dead_since.
void revive_push(sys::Db& db, std::int64_t enrollment_id, sys::Time now);

// What is written of one push. `next_due` is used only if due_at is still as claimed, so that a command
// queued in the meantime keeps its own time; and where APNs took the push, only if commands wait, queued or
// put off by the device: else nothing more is to be said.
struct PushOutcome {
  std::optional<sys::Time> next_due;
  std::int64_t attempts = 0;
  std::optional<sys::Time> pushed_at;  // accepted by APNs: also revives the token
  std::optional<std::int64_t> status;  // HTTP; none where there was no answer
  std::string reason;
  std::string apns_id;
};
// False when the lease is no longer ours.
bool record_push(sys::Db& db, std::string const& owner, ClaimedPush const& claimed,
                 PushOutcome const& outcome);

// APNs called the token dead. Written only if the enrolment still has that token and, where `not_after` is
// given, got it before that time, and only if due_at still is `provisional` (as record_push left it).
struct DeadToken {
  ClaimedPush claimed;
  std::optional<sys::Time> provisional;
  std::optional<sys::Time> not_after;
  std::optional<sys::Time> next_due;
  std::int64_t attempts = 1;
};
bool record_dead_token(sys::Db& db, DeadToken const& dead, sys::Time now);

// The same, but it is not believed: tried again at `next_due`, and doubted until APNs takes the token.
void doubt_token(sys::Db& db, DeadToken const& dead, sys::Time now);

// Whether APNs has taken a push of the topic after that time.
bool topic_taken_since(sys::Db& db, std::string const& topic, sys::Time after);

// A topic has a certificate that works, perhaps for the first time: what waits because of failed pushes is
// due now. Dead tokens are left alone.
void retry_failed_pushes(sys::Db& db, std::string const& topic, sys::Time now);

// Live enrolments (pending and current device channels) by topic: whom a push certificate serves.
std::vector<DueTopic> enrolled_topics(sys::Db& db);

// What an admin is shown of the row; nullopt: the enrolment never sent a TokenUpdate.
struct PushStatus {
  std::optional<sys::Time> due_at;
  std::int64_t attempts = 0;    // failed ones in a row
  std::int64_t unanswered = 0;  // accepted ones after which commands still waited
  std::optional<sys::Time> dead_since;
  std::optional<sys::Time> last_pushed_at;
  std::optional<std::int64_t> last_status;
  std::optional<std::string> last_reason;
};
std::optional<PushStatus> push_status(sys::Db& db, std::int64_t enrollment_id);

struct PushTarget {
  std::int64_t enrollment_id = 0;
  std::string external_id;
  std::string state;  // of the enrolment
  bool frozen = false;
  bool has_token = false;
  std::string topic;
};
// The current enrolment with that id, device or user channel.
std::optional<PushTarget> find_push_target(sys::Db& db, std::string_view external_id);

}  // namespace store
