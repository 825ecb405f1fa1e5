// One claimed batch of a topic: sent over the topic's connections, recorded together. Part of service/push.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
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

// One push and its answer, for logs and listings; never the token or the PushMagic.
struct PushedItem {
  std::int64_t enrollment_id = 0;
  std::string external_id;
  std::string topic;
  proto::ApnsAnswer answer;
};
using TellPushed = std::function<void(PushedItem const&)>;

class PushBatch {
 public:
  PushBatch(sys::Db& db, std::string owner, std::vector<store::ClaimedPush> claimed, sys::Time now);

  // Stops handing out requests when the tally says so, or when the lease was lost.
  void send(sys::HttpClient& client, Config const& config, TopicTally& tally, TellPushed const& tell);

  // Writes what was answered, and gives back what was not sent. What is returned are the verdicts about
  // tokens, to be applied when the topic's round has ended.
  std::vector<store::DeadToken> record();

 private:
  struct Answered {
    std::size_t row;  // in claimed_
    proto::ApnsAnswer answer;
    PushDecision decision;
  };

  std::optional<sys::HttpRequest> next(Config const& config, TopicTally const& tally, TellPushed const& tell);
  void take(std::size_t row, proto::ApnsAnswer answer, PushDecision decision, TellPushed const& tell);
  bool lease_kept();

  sys::Db& db_;
  std::string owner_;
  std::vector<store::ClaimedPush> claimed_;
  sys::Time now_;
  std::chrono::steady_clock::time_point renewed_;
  bool lost_ = false;
  std::size_t next_row_ = 0;
  std::vector<std::size_t> sent_rows_;  // by number of the request
  std::vector<Answered> answered_;
};

}  // namespace service
