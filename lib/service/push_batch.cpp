#include "service/push_batch.hpp"

#include <algorithm>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

// A third of the lease: a renewal may fail once and be late once.
constexpr std::chrono::seconds kRenewAfter{10};

proto::ApnsAnswer read_answer(sys::HttpResponse const& response) {
  auto const id = response.headers.find("apns-id");
  auto answer =
      proto::read_apns_answer(response.status, id == response.headers.end() ? "" : id->second, response.body);
  if (response.status == 0) {
    constexpr std::size_t kLongest = 200;
    answer.reason = sys::escape_controls(response.error.substr(0, kLongest));
  }
  return answer;
}

}  // namespace

PushBatch::PushBatch(sys::Db& db, std::string owner, std::vector<store::ClaimedPush> claimed, sys::Time now)
    : db_(db),
      owner_(std::move(owner)),
      claimed_(std::move(claimed)),
      now_(now),
      renewed_(std::chrono::steady_clock::now()) {}

void PushBatch::send(sys::HttpClient& client, Config const& config, TopicTally& tally,
                     TellPushed const& tell) {
  client.perform_all([&] { return next(config, tally, tell); },
                     [&](std::size_t number, sys::HttpResponse const& response) {
                       auto const row = sent_rows_.at(number);
                       auto answer = read_answer(response);
                       tally.add(answer);
                       auto decision = decide_push(claimed_.at(row), answer, now_);
                       take(row, std::move(answer), std::move(decision), tell);
                     });
}

std::optional<sys::HttpRequest> PushBatch::next(Config const& config, TopicTally const& tally,
                                                TellPushed const& tell) {
  while (next_row_ < claimed_.size()) {
    if (tally.while_sending() != TopicTally::Stop::none || !lease_kept()) return std::nullopt;
    std::size_t const row = next_row_++;
    auto const& claimed = claimed_[row];
    try {
      auto request = proto::build_apns_request({claimed.push_token, claimed.push_magic, claimed.topic,
                                                now_ + config.push_expiration, sys::random_uuid()});
      sent_rows_.push_back(row);
      return sys::HttpRequest{"POST", config.push_url + request.path, std::move(request.headers),
                              std::move(request.body)};
    } catch (sys::Error const& error) {
      if (error.fault() != sys::Fault::bad_request) throw;
      proto::ApnsAnswer answer;
      answer.verdict = proto::ApnsVerdict::refused;
      answer.reason = error.what();
      take(row, std::move(answer), {unusable_push(error.what(), claimed, now_)}, tell);
    }
  }
  return std::nullopt;
}

void PushBatch::take(std::size_t row, proto::ApnsAnswer answer, PushDecision decision,
                     TellPushed const& tell) {
  auto const& claimed = claimed_.at(row);
  tell({claimed.enrollment_id, claimed.external_id, claimed.topic, answer});
  answered_.push_back({row, std::move(answer), std::move(decision)});
  lease_kept();
}

// A run that was stopped for longer than the lease finds that others took its rows, and sends no more.
bool PushBatch::lease_kept() {
  auto const clock = std::chrono::steady_clock::now();
  if (!lost_ && clock - renewed_ > kRenewAfter) {
    lost_ = store::renew_push_claim(db_, owner_) < claimed_.size();
    renewed_ = clock;
  }
  return !lost_;
}

std::vector<store::DeadToken> PushBatch::record() {
  // In the order of enrolments, as every other writer of several rows: no deadlocks.
  std::sort(answered_.begin(), answered_.end(), [](auto const& a, auto const& b) { return a.row < b.row; });
  db_.transaction([&] {
    for (auto const& answered : answered_)
      store::record_push(db_, owner_, claimed_.at(answered.row), answered.decision.outcome);
  });
  if (answered_.size() < claimed_.size()) store::release_push_claim(db_, owner_);
  std::vector<store::DeadToken> dead;
  for (auto const& answered : answered_) {
    if (answered.decision.token_dead)
      dead.push_back(dead_token(claimed_.at(answered.row), answered.answer, answered.decision, now_));
  }
  return dead;
}

}  // namespace service
