#include "service/push.hpp"

#include <algorithm>
#include <chrono>
#include <future>
#include <optional>
#include <utility>

#include "service/kept_key.hpp"
#include "store/events.hpp"
#include "sys/error.hpp"
#include "sys/http_client.hpp"

namespace service {

namespace {

using std::chrono::seconds;
using store::CertStatus;
using store::CertView;
using sys::Error;
using sys::Fault;

using Steady = std::chrono::steady_clock;

constexpr std::ptrdiff_t kTopicsAtOnce = 16;
// How long one round of a topic takes new work: then verdicts are applied and the certificate is read anew.
constexpr seconds kRoundTakes{60};
// How long a topic is left alone by one run: stopped by refusals, or for want of answers. Another certificate
// ends it, and cron's next run looks again anyway.
constexpr seconds kStopped{60};
constexpr seconds kUnreachable{10};
// What is due but could not be had is most likely under the lease of another run.
constexpr std::chrono::milliseconds kNothingHad{500};

sys::HttpOptions http_options(Config const& config, sys::Cert const& cert, std::string const& chain,
                              sys::SecretBytes key) {
  sys::HttpOptions options;
  options.ca_file = config.push_ca_file;
  options.client_cert_pem = cert.pem() + chain;
  options.client_key_pem = std::move(key);
  options.require_http2 = true;
  options.connect_timeout = seconds(5);
  options.total_timeout = seconds(10);  // well below the lease
  options.response_limit = 64U << 10U;
  options.ask_again = kPushLook;
  return options;
}

void fail(PushRound& round, std::string problem) {
  round.problems.push_back(std::move(problem));
  round.failed = true;
}

std::string renew_advice() {
  return "renew it at identity.apple.com (Renew, not Create, with the same Apple ID) and `pomona push-cert "
         "import` it; nothing was disabled, devices are pushed as soon as it is there";
}

std::string stop_sentence(std::string const& topic, TopicTally const& tally, TopicTally::Stop stop) {
  std::string const counts = " (" + std::to_string(tally.refusals()) + " of " + std::to_string(tally.sent()) +
                             " pushes refused, last reason " + tally.last_reason() + ")";
  switch (stop) {
    case TopicTally::Stop::refused:
      return "topic " + topic + ": stopped, APNs refuses the push certificate or the topic" + counts +
             "; no device was marked. Check `pomona push-cert show` and that its certificate was not revoked";
    case TopicTally::Stop::too_many:
      return "topic " + topic + ": stopped, too many pushes were refused" + counts +
             "; none of these verdicts was recorded. Is it the right certificate, and the right push-url?";
    case TopicTally::Stop::unreachable:
      return "topic " + topic + ": APNs does not answer: " + tally.last_reason();
    case TopicTally::Stop::none:
      break;
  }
  return "";
}

void apply_dead(sys::Db& db, store::DeadToken const& dead, std::string const& who, sys::Time now) {
  db.transaction([&] {
    if (!store::record_dead_token(db, dead, now) || dead.claimed.dead_since) return;
    store::Event event{"push.token-dead", who};
    event.external_id = dead.claimed.external_id;
    event.enrollment_id = dead.claimed.enrollment_id;
    event.detail = "its queue is kept; a message of the device revives it";
    store::record_event(db, event, now);
  });
}

// Returns how many were not believed.
std::size_t apply_verdicts(sys::Db& db, std::string const& topic, TopicTally const& tally,
                           std::vector<TokenVerdict> const& verdicts, std::string const& who, sys::Time now) {
  std::size_t doubted = 0;
  for (auto const& verdict : verdicts) {
    auto const since = verdict.dead.claimed.doubted_since;
    bool const believed = verdict.stands_alone || tally.accepted() > 0 ||
                          (since && store::topic_taken_since(db, topic, *since));
    if (believed) {
      apply_dead(db, verdict.dead, who, now);
    } else {
      store::doubt_token(db, doubted_token(verdict.dead, now), now);
      ++doubted;
    }
  }
  return doubted;
}

std::string doubt_sentence(std::string const& topic, std::size_t count) {
  return "topic " + topic + ": APNs calls " + std::to_string(count) + (count == 1 ? " token" : " tokens") +
         " bad and has taken no other push of the topic since; not believed until it takes one. Is it the "
         "right "
         "certificate, and the right push-url?";
}

}  // namespace

struct Pusher::Lane {
  std::optional<sys::Db> db = {};
  std::optional<std::int64_t> certificate_id = {};
  std::optional<sys::HttpClient> client = {};
  Steady::time_point left_alone_until = {};
  bool stopped = false;  // until then, unless the certificate is another one
  std::future<PushRound> running = {};
};

Pusher::Pusher(Config const& config, sys::KeyRing push_key, std::string who, PushTools tools)
    : config_(config), push_key_(std::move(push_key)), who_(std::move(who)), tools_(std::move(tools)) {}
Pusher::~Pusher() = default;  // a future of std::async waits for its thread

bool Pusher::begin(sys::Db& db, PushRound& round) {
  auto const now = Steady::now();
  std::vector<store::DueTopic> wanted;
  for (auto& due : store::due_topics(db, tools_.clock())) {
    auto& lane = lanes_[due.topic];
    if (!lane) lane = std::make_unique<Lane>();
    if (!lane->running.valid() && (lane->stopped || lane->left_alone_until <= now))
      wanted.push_back(std::move(due));
  }
  if (wanted.empty()) return false;
  load_certificates(db);
  auto const running = [](auto const& one) { return one.second->running.valid(); };
  for (auto const& due : wanted) {
    auto& lane = *lanes_.at(due.topic);
    if (std::count_if(lanes_.begin(), lanes_.end(), running) >= kTopicsAtOnce) return true;
    if (ready(db, due.topic, lane, round)) start(due.topic, due.count, lane);
  }
  return false;
}

bool Pusher::busy() const {
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [](auto const& one) { return one.second->running.valid(); });
}

void Pusher::collect(PushRound& round) {
  for (auto& [topic, lane] : lanes_) {
    auto& running = lane->running;
    if (!running.valid() || running.wait_for(seconds(0)) != std::future_status::ready) continue;
    auto ended = running.get();
    round.sent += ended.sent;
    round.accepted += ended.accepted;
    std::move(ended.problems.begin(), ended.problems.end(), std::back_inserter(round.problems));
    round.failed = round.failed || ended.failed;
    round.unreachable = round.unreachable || ended.unreachable;
  }
}

PushRound Pusher::push_now(sys::Db& db, std::vector<store::PushTarget> const& targets) {
  PushRound out;
  std::map<std::string, std::vector<std::int64_t>> by_topic;
  for (auto const& target : targets) by_topic[target.topic].push_back(target.enrollment_id);
  load_certificates(db);
  for (auto& [topic, waiting] : by_topic) {
    auto& ids = waiting;
    auto const claim = [&](std::string const& owner, std::int64_t most) {
      std::vector<store::ClaimedPush> claimed;
      while (claimed.empty() && !ids.empty()) {
        auto const from = ids.end() - std::min<std::ptrdiff_t>(most, std::ssize(ids));
        claimed = store::claim_pushes(db, {from, ids.end()}, owner, tools_.clock());
        ids.erase(from, ids.end());
      }
      return claimed;
    };
    Lane lane;
    if (ready(db, topic, lane, out)) run(db, topic, lane, claim, TopicTally(std::ssize(ids)), out);
  }
  return out;
}

void Pusher::load_certificates(sys::Db& db) {
  certificates_.clear();
  // In the order of their ids: should two of a topic be active, the later one counts.
  for (auto& row :
       store::list_certificates(db, CertView::push, {.kind = "push", .status = CertStatus::active})) {
    std::string const topic = row.topic.value_or("");
    certificates_.insert_or_assign(topic, std::move(row));
  }
}

bool Pusher::ready(sys::Db& db, std::string const& topic, Lane& lane, PushRound& round) {
  try {
    connect(db, topic, lane, round);
  } catch (Error const& error) {
    // A key that does not open is this topic's trouble, not that of the others.
    if (error.fault() == Fault::unavailable) throw;
    fail(round, "topic " + topic + ": " + error.what());
    return false;
  }
  return lane.client && !(lane.stopped && Steady::now() < lane.left_alone_until);
}

void Pusher::connect(sys::Db& db, std::string const& topic, Lane& lane, PushRound& round) {
  auto const certificate = certificates_.find(topic);
  auto const now = tools_.clock();
  if (certificate == certificates_.end()) {
    lane.client.reset();
    fail(round,
         "topic " + topic + ": there is no push certificate; import it with `pomona push-cert import`");
    return;
  }
  auto const& row = certificate->second;
  if (row.not_after < now || now < row.not_before) {
    lane.client.reset();
    fail(round, "topic " + topic + ": the push certificate " +
                    (row.not_after < now ? "expired on " + sys::certbot_time(row.not_after)
                                         : "is not valid before " + sys::certbot_time(row.not_before)) +
                    "; " + renew_advice());
    return;
  }
  if (lane.client && lane.certificate_id == row.id) return;
  lane.client.reset();
  lane.client.emplace(http_options(config_, sys::Cert::from_der(row.der.value_or("")), row.chain.value_or(""),
                                   open_kept_key(db, push_key_, row)));
  lane.certificate_id = row.id;
  lane.stopped = false;
}

void Pusher::start(std::string const& topic, std::int64_t due, Lane& lane) {
  if (!lane.db) lane.db.emplace(tools_.connect());
  lane.running = std::async(std::launch::async, [this, topic, due, &lane] {
    PushRound round;
    auto& db = *lane.db;
    auto const end = Steady::now() + kRoundTakes;
    store::settle_unpushable(db, topic, tools_.clock());
    auto const claim = [&](std::string const& owner, std::int64_t most) {
      if (Steady::now() > end || !tools_.may_claim()) return std::vector<store::ClaimedPush>{};
      return store::claim_due_pushes(db, topic, owner, tools_.clock(), most);
    };
    run(db, topic, lane, claim, TopicTally(due), round);
    if (round.sent == 0 && !lane.stopped) lane.left_alone_until = Steady::now() + kNothingHad;
    return round;
  });
}

void Pusher::run(sys::Db& db, std::string const& topic, Lane& lane, ClaimPushes const& claim,
                 TopicTally tally, PushRound& round) {
  lane.stopped = false;
  PushFlow flow(db, config_, tools_.clock, tools_.tell, tally);
  auto const verdicts = flow.run(*lane.client, claim);
  round.sent += tally.sent();
  round.accepted += tally.accepted();
  finish(db, topic, lane, tally, verdicts, round);
}

void Pusher::finish(sys::Db& db, std::string const& topic, Lane& lane, TopicTally const& tally,
                    std::vector<TokenVerdict> const& verdicts, PushRound& round) {
  auto const now = tools_.clock();
  auto const stop = tally.after_all();
  if (stop == TopicTally::Stop::none) {
    auto const doubted = apply_verdicts(db, topic, tally, verdicts, who_, now);
    if (doubted > 0) round.problems.push_back(doubt_sentence(topic, doubted));
    return;
  }
  std::string const sentence = stop_sentence(topic, tally, stop);
  lane.stopped = true;
  lane.left_alone_until = Steady::now() + (stop == TopicTally::Stop::unreachable ? kUnreachable : kStopped);
  if (stop == TopicTally::Stop::unreachable) {
    round.problems.push_back(sentence);
    round.unreachable = true;
    return;
  }
  fail(round, sentence);
  store::Event event{"push.stopped", who_};
  event.detail = sentence;
  db.transaction([&] { store::record_event(db, event, now); });
}

}  // namespace service
