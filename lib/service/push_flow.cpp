#include "service/push_flow.hpp"

#include <algorithm>
#include <iterator>

#include "store/leases.hpp"
#include "sys/crash_point.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

constexpr std::int64_t kClaimAtOnce = 512;
constexpr std::size_t kRecordAtOnce = 256;
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

PushFlow::PushFlow(sys::Db& db, Config const& config, PushClock const& clock, TellPushed const& tell,
                   TopicTally& tally)
    : db_(db),
      config_(config),
      clock_(clock),
      tell_(tell),
      tally_(tally),
      owner_(store::lease_owner()),
      renewed_at_(Clock::now()) {}

std::vector<TokenVerdict> PushFlow::run(sys::HttpClient& client, ClaimPushes const& claim) {
  client.perform_all(
      [&] { return next(claim); },
      [&](std::size_t number, sys::HttpResponse const& response) { answered(number, response); });
  record();
  std::vector<std::int64_t> left;
  left.reserve(waiting_.size());
  for (auto const& row : waiting_) left.push_back(row.enrollment_id);
  store::release_push_claim(db_, owner_, std::move(left));
  return std::move(verdicts_);
}

std::optional<sys::HttpRequest> PushFlow::next(ClaimPushes const& claim) {
  if (Clock::now() - recorded_at_ > kPushLook) record();
  keep_leases();
  if (tally_.while_sending() != TopicTally::Stop::none) return std::nullopt;
  if (waiting_.empty()) claim_more(claim);
  while (!waiting_.empty()) {
    auto row = std::move(waiting_.front());
    waiting_.pop_front();
    if (auto request = request_of(row)) {
      under_way_.emplace(number_++, std::move(row));
      return request;
    }
  }
  return std::nullopt;
}

void PushFlow::claim_more(ClaimPushes const& claim) {
  auto const now = Clock::now();
  if (now - claimed_at_ < kPushLook) return;
  auto rows = claim(owner_, kClaimAtOnce);
  if (std::ssize(rows) < kClaimAtOnce) claimed_at_ = now;
  if (rows.empty()) return;
  sys::crash_point("push-claimed");
  std::move(rows.begin(), rows.end(), std::back_inserter(waiting_));
}

std::optional<sys::HttpRequest> PushFlow::request_of(store::ClaimedPush const& row) {
  auto const now = clock_();
  try {
    auto request = proto::build_apns_request(
        {row.push_token, row.push_magic, row.topic, now + config_.push_expiration, sys::random_uuid()});
    return sys::HttpRequest{"POST", config_.push_url + request.path, std::move(request.headers),
                            std::move(request.body)};
  } catch (sys::Error const& error) {
    if (error.fault() != sys::Fault::bad_request) throw;
    proto::ApnsAnswer answer;
    answer.verdict = proto::ApnsVerdict::refused;
    answer.reason = error.what();
    tell(row, std::move(answer));
    answered_.push_back({row, unusable_push(error.what(), row, now)});
  }
  return std::nullopt;
}

void PushFlow::answered(std::size_t number, sys::HttpResponse const& response) {
  auto node = under_way_.extract(number);
  auto& row = node.mapped();
  auto answer = read_answer(response);
  tally_.add(answer);
  auto const now = clock_();
  auto decision = decide_push(row, answer, now);
  if (decision.token_dead)
    verdicts_.push_back({dead_token(row, answer, decision, now), stands_alone(row, answer)});
  tell(row, std::move(answer));
  answered_.push_back({std::move(row), std::move(decision.outcome)});
  if (answered_.size() >= kRecordAtOnce) record();
}

void PushFlow::tell(store::ClaimedPush const& row, proto::ApnsAnswer answer) const {
  tell_({row.enrollment_id, row.external_id, row.topic, std::move(answer)});
}

void PushFlow::record() {
  if (answered_.empty()) return;
  recorded_at_ = Clock::now();
  sys::crash_point("push-sent");
  // In the order of enrolments, as every other writer of several rows: no deadlocks.
  std::sort(answered_.begin(), answered_.end(),
            [](auto const& a, auto const& b) { return a.claimed.enrollment_id < b.claimed.enrollment_id; });
  db_.transaction([&] {
    for (auto const& one : answered_) store::record_push(db_, owner_, one.claimed, one.outcome);
  });
  sys::crash_point("push-recorded");
  answered_.clear();
}

// A run that was stopped for longer than the lease finds that others took its rows, and does not send them.
void PushFlow::keep_leases() {
  auto const now = Clock::now();
  if (now - renewed_at_ < kRenewAfter) return;
  renewed_at_ = now;
  std::vector<std::int64_t> ids;
  ids.reserve(waiting_.size() + under_way_.size() + answered_.size());
  for (auto const& row : waiting_) ids.push_back(row.enrollment_id);
  for (auto const& [number, row] : under_way_) ids.push_back(row.enrollment_id);
  for (auto const& one : answered_) ids.push_back(one.claimed.enrollment_id);
  auto const ours = store::renew_push_claim(db_, owner_, std::move(ids));
  std::erase_if(waiting_, [&](auto const& row) {
    return !std::binary_search(ours.begin(), ours.end(), row.enrollment_id);
  });
}

}  // namespace service
