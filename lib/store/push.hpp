// Who is to be pushed, and when: push_state, one row an enrolment, apart from enrollments.
//
// A push only says "poll". Whoever queues a command calls mark_push_due() in the same transaction;
// pomona-push claims due rows under a lease (30 s by the database clock, committed before anything is sent),
// pushes, and records. Everything recorded is compared with the lease or with what was sent, so that a worker
// that was stopped for an hour harms nothing. Tokens and PushMagic are device supplied bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

// The next run pushes at or after `at`. Sets the time anew even where one is set: a push under way then does
// not clear it.
void mark_push_due(sys::Db& db, std::int64_t enrollment_id, sys::Time at);

// A token that APNs called dead is believed again; a push that was waiting becomes due at `now`. For
// TokenUpdate, and for any message of a device whose row says dead_since.
void revive_push(sys::Db& db, std::int64_t enrollment_id, sys::Time now);

struct ClaimedPush {
  std::int64_t enrollment_id = 0;
  std::string external_id;
  std::string topic;
  std::string push_token;
  std::string push_magic;
  std::optional<sys::Time> due_at;  // as claimed; recording compares with it
  std::int64_t attempts = 0;
  std::optional<sys::Time> dead_since;
};

// Takes up to `limit` due rows of a topic whose enrolments are current, not frozen and have a token, under
// the lease of `owner` (a new name for every call). Dead tokens only when their next try has come.
std::vector<ClaimedPush> claim_due_pushes(sys::Db& db, std::string const& topic, std::string const& owner,
                                          sys::Time now, std::int64_t limit);

// Makes these enrolments due at `now` and takes them, dead tokens too; those under another's lease stay due
// and are left out.
std::vector<ClaimedPush> claim_pushes(sys::Db& db, std::vector<std::int64_t> enrollment_ids,
                                      std::string const& owner, sys::Time now);

// The number of rows whose lease was still ours, and is again for 30 s.
std::uint64_t renew_push_claim(sys::Db& db, std::string const& owner);

// What is written of one push. `next_due` nullopt: nothing more to say; it is used only if due_at is still as
// claimed, so that a command queued in the meantime keeps its own time.
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

// Gives rows back that were not sent: due as before.
void release_push_claim(sys::Db& db, std::string const& owner);

// Enrolments that ended have nothing to be told; returns how many rows were cleared.
std::uint64_t clear_ended_pushes(sys::Db& db, sys::Time now);

// Due rows that a worker could claim now, by topic.
struct DueTopic {
  std::string topic;
  std::int64_t count = 0;
};
std::vector<DueTopic> due_topics(sys::Db& db, sys::Time now);

// Live enrolments (pending and current device channels) by topic: whom a push certificate serves.
std::vector<DueTopic> enrolled_topics(sys::Db& db);

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
