// The pushes of one topic in one round: claimed as they come due, sent over the topic's connections, recorded
// while others are under way. Part of service/push.
//
// Rows are claimed when there is room for them and at least every kLook while anything is under way, so that
// one device for which APNs does not answer holds up nobody else. Answers are recorded within about kLook; a
// worker that dies before that leaves rows whose lease runs out, and which are pushed again.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/apns.hpp"
#include "service/config.hpp"
#include "service/push_verdict.hpp"
#include "store/push.hpp"
#include "sys/http_client.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

// How long a row that comes due may wait for somebody to look.
inline constexpr std::chrono::milliseconds kPushLook{200};

// One push and its answer, for logs and listings; never the token or the PushMagic.
struct PushedItem {
  std::int64_t enrollment_id = 0;
  std::string external_id;
  std::string topic;
  proto::ApnsAnswer answer;
};
using TellPushed = std::function<void(PushedItem const&)>;
using PushClock = std::function<sys::Time()>;
// Takes up to so many rows under the lease of `owner`.
using ClaimPushes =
    std::function<std::vector<store::ClaimedPush>(std::string const& owner, std::int64_t most)>;

// A verdict about a token, to be judged when the topic's round has ended.
struct TokenVerdict {
  store::DeadToken dead;
  bool stands_alone = false;
};

class PushFlow {
 public:
  // Everything outlives it.
  PushFlow(sys::Db& db, Config const& config, PushClock const& clock, TellPushed const& tell,
           TopicTally& tally);

  // Ends when `claim` gives nothing more and every answer is recorded; earlier when the tally says stop. What
  // was claimed and not sent is given back. Returns the verdicts about tokens.
  std::vector<TokenVerdict> run(sys::HttpClient& client, ClaimPushes const& claim);

 private:
  using Clock = std::chrono::steady_clock;
  struct Answered {
    store::ClaimedPush claimed;
    store::PushOutcome outcome;
  };

  std::optional<sys::HttpRequest> next(ClaimPushes const& claim);
  void claim_more(ClaimPushes const& claim);
  std::optional<sys::HttpRequest> request_of(store::ClaimedPush const& row);
  void answered(std::size_t number, sys::HttpResponse const& response);
  void tell(store::ClaimedPush const& row, proto::ApnsAnswer answer) const;
  void record();
  void keep_leases();

  sys::Db& db_;
  Config const& config_;
  PushClock const& clock_;
  TellPushed const& tell_;
  TopicTally& tally_;
  std::string const owner_;
  Clock::time_point claimed_at_;  // when a claim last gave less than was asked for
  Clock::time_point recorded_at_;
  Clock::time_point renewed_at_;
  std::size_t number_ = 0;                               // of the next request
  std::deque<store::ClaimedPush> waiting_;               // claimed, not sent
  std::map<std::size_t, store::ClaimedPush> under_way_;  // by number of the request
  std::vector<Answered> answered_;                       // not recorded
  std::vector<TokenVerdict> verdicts_;
};

}  // namespace service
