// The side of push_state that pomona-push works on: what is due, and claims of it.
//
// A claim is a lease of 30 s by the database clock, committed before anything is sent; rows that another run
// holds are passed over without waiting. A worker that dies leaves rows that are claimed again when the lease
// has run out. Tokens and PushMagic are device supplied bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

// Rows whose time has come, by topic: those under a lease too. One index range, however large the fleet is.
struct DueTopic {
  std::string topic;
  std::int64_t count = 0;
};
std::vector<DueTopic> due_topics(sys::Db& db, sys::Time now);

// Takes out of the way what is due and will not be pushed: repetitions whose commands were answered in the
// meantime and enrolments that ended (nothing is due any more), dead tokens (until their next try), and
// enrolments that are not served now (looked at again in a minute).
void settle_unpushable(sys::Db& db, std::string const& topic, sys::Time now);

struct ClaimedPush {
  std::int64_t enrollment_id = 0;
  std::string external_id;
  std::string topic;
  std::string push_token;
  std::string push_magic;
  std::optional<sys::Time> due_at;  // as claimed; recording compares with it
  std::int64_t attempts = 0;
  std::int64_t unanswered = 0;
  std::optional<sys::Time> dead_since;
  std::optional<sys::Time> doubted_since;
};

// Takes up to `limit` due rows of a topic whose enrolments are current, not frozen and have a token, under
// the lease of `owner`. Dead tokens only when their next try has come.
std::vector<ClaimedPush> claim_due_pushes(sys::Db& db, std::string const& topic, std::string const& owner,
                                          sys::Time now, std::int64_t limit);

// Makes these enrolments due at `now` and takes them, dead tokens too; those under another's lease stay due
// and are left out.
std::vector<ClaimedPush> claim_pushes(sys::Db& db, std::vector<std::int64_t> enrollment_ids,
                                      std::string const& owner, sys::Time now);

// The leases are good for another 30 s. Returns those that are still the owner's, in ascending order.
std::vector<std::int64_t> renew_push_claim(sys::Db& db, std::string const& owner,
                                           std::vector<std::int64_t> enrollment_ids);

// Gives rows back that were not sent: due as before.
void release_push_claim(sys::Db& db, std::string const& owner, std::vector<std::int64_t> enrollment_ids);

}  // namespace store
