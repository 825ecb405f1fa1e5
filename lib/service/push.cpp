#include "service/push.hpp"

#include <algorithm>
#include <utility>

#include "service/push_cert.hpp"
#include "store/events.hpp"
#include "store/leases.hpp"
#include "sys/error.hpp"
#include "sys/http_client.hpp"

namespace service {

namespace {

using std::chrono::seconds;
using store::CertStatus;
using store::CertView;
using sys::Error;
using sys::Fault;

constexpr std::int64_t kBatch = 500;
// How long a stopped topic is left alone by one run; cron's next run looks again anyway.
constexpr seconds kStopped{60};

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

}  // namespace

struct Pusher::Topic {
  std::int64_t certificate_id;
  sys::HttpClient client;
  std::optional<sys::Time> stopped_until = {};
  // Of the round under way.
  TopicTally tally{0};
  std::vector<store::DeadToken> dead = {};
};

Pusher::Pusher(Config const& config, sys::SealKey push_key, std::string who, TellPushed tell)
    : config_(config), push_key_(std::move(push_key)), who_(std::move(who)), tell_(std::move(tell)) {}
Pusher::~Pusher() = default;

PushRound Pusher::round(sys::Db& db, sys::Time now, std::function<bool()> const& may_claim) {
  PushRound out;
  store::clear_ended_pushes(db, now);
  auto const topics = store::due_topics(db, now);
  if (topics.empty()) return out;
  load_certificates(db);
  for (auto const& due : topics) {
    push_topic(
        db, due,
        [&](std::string const& owner) {
          if (!may_claim()) return std::vector<store::ClaimedPush>{};
          return store::claim_due_pushes(db, due.topic, owner, now, kBatch);
        },
        now, out);
  }
  return out;
}

PushRound Pusher::push_now(sys::Db& db, std::vector<store::PushTarget> const& targets, sys::Time now) {
  PushRound out;
  std::map<std::string, std::vector<std::int64_t>> by_topic;
  for (auto const& target : targets) by_topic[target.topic].push_back(target.enrollment_id);
  load_certificates(db);
  for (auto& [topic, waiting] : by_topic) {
    auto& ids = waiting;
    auto const claim = [&](std::string const& owner) {
      std::vector<store::ClaimedPush> claimed;
      while (claimed.empty() && !ids.empty()) {
        auto const from = ids.end() - std::min<std::ptrdiff_t>(kBatch, std::ssize(ids));
        claimed = store::claim_pushes(db, {from, ids.end()}, owner, now);
        ids.erase(from, ids.end());
      }
      return claimed;
    };
    push_topic(db, {topic, std::ssize(ids)}, claim, now, out);
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

Pusher::Topic* Pusher::ready(sys::Db& db, std::string const& name, sys::Time now, PushRound& round) {
  auto const certificate = certificates_.find(name);
  if (certificate == certificates_.end()) {
    fail(round, "topic " + name + ": there is no push certificate; import it with `pomona push-cert import`");
    return nullptr;
  }
  auto const& row = certificate->second;
  if (row.not_after < now || now < row.not_before) {
    fail(round, "topic " + name + ": the push certificate " +
                    (row.not_after < now ? "expired on " + sys::certbot_time(row.not_after)
                                         : "is not valid before " + sys::certbot_time(row.not_before)) +
                    "; " + renew_advice());
    return nullptr;
  }
  auto const known = topics_.find(name);
  bool const same = known != topics_.end() && known->second->certificate_id == row.id;
  if (!same) return connect(db, name, row);
  return known->second->stopped_until > now ? nullptr : known->second.get();
}

Pusher::Topic* Pusher::connect(sys::Db& db, std::string const& name, store::CertificateRow const& row) {
  auto options = http_options(config_, sys::Cert::from_der(row.der.value_or("")), row.chain.value_or(""),
                              open_push_key(db, push_key_, row));
  auto& place = topics_[name];
  place = std::make_unique<Topic>(Topic{row.id, sys::HttpClient(std::move(options))});
  return place.get();
}

void Pusher::push_topic(sys::Db& db, store::DueTopic const& due, Claim const& claim, sys::Time now,
                        PushRound& round) {
  Topic* topic = nullptr;
  try {
    topic = ready(db, due.topic, now, round);
  } catch (Error const& error) {
    // A key that does not open is this topic's trouble, not that of the others.
    if (error.fault() == Fault::unavailable) throw;
    fail(round, "topic " + due.topic + ": " + error.what());
  }
  if (topic == nullptr) return;
  topic->tally = TopicTally(due.count);
  topic->dead.clear();
  while (topic->tally.while_sending() == TopicTally::Stop::none) {
    std::string const owner = store::lease_owner();
    auto claimed = claim(owner);
    if (claimed.empty()) break;
    PushBatch batch(db, owner, std::move(claimed), now);
    batch.send(topic->client, config_, topic->tally, tell_);
    auto dead = batch.record();
    std::move(dead.begin(), dead.end(), std::back_inserter(topic->dead));
  }
  finish_topic(db, due.topic, *topic, now, round);
}

void Pusher::finish_topic(sys::Db& db, std::string const& name, Topic& topic, sys::Time now,
                          PushRound& round) {
  round.sent += topic.tally.sent();
  round.accepted += topic.tally.accepted();
  auto const stop = topic.tally.after_all();
  if (stop == TopicTally::Stop::none) {
    for (auto const& dead : topic.dead) apply_dead(db, dead, who_, now);
    return;
  }
  std::string const sentence = stop_sentence(name, topic.tally, stop);
  topic.stopped_until = now + kStopped;
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
