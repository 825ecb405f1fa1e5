// Pushing: a round over everything that is due, or some enrolments at once.
//
// Rows are claimed in batches, the claims committed before anything is sent; one connection pool a topic,
// with the topic's active push certificate as it is in the database when a round begins. A certificate that
// has expired or is missing disables nothing: its devices stay due and are pushed once it is renewed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "service/config.hpp"
#include "service/push_batch.hpp"
#include "store/certificates.hpp"
#include "store/push.hpp"
#include "sys/mariadb.hpp"
#include "sys/seal.hpp"
#include "sys/time.hpp"

namespace service {

struct PushRound {
  std::int64_t sent = 0;
  std::int64_t accepted = 0;
  std::vector<std::string> problems;  // sentences for the admin: a topic was stopped or could not begin
  bool failed = false;                // one of them needs an admin
  bool unreachable = false;           // APNs did not answer; trying again later may help
};

class Pusher {
 public:
  // `who` is named in events. `tell` is called for every push when its answer is there. `config` outlives it.
  Pusher(Config const& config, sys::SealKey push_key, std::string who, TellPushed tell);
  Pusher(Pusher const&) = delete;
  Pusher& operator=(Pusher const&) = delete;
  ~Pusher();

  // Pushes what is due at `now`. Claims nothing more once `may_claim` says no; what is claimed is finished.
  // Throws Error{unavailable} when the database is away.
  PushRound round(sys::Db& db, sys::Time now, std::function<bool()> const& may_claim);

  // Pushes these enrolments now, due or not, dead tokens too. Those that another run is pushing at this
  // moment stay due and are not told of.
  PushRound push_now(sys::Db& db, std::vector<store::PushTarget> const& targets, sys::Time now);

 private:
  struct Topic;
  using Claim = std::function<std::vector<store::ClaimedPush>(std::string const& owner)>;

  void load_certificates(sys::Db& db);
  // nullptr, and a problem in `round`, when the topic cannot be pushed to.
  Topic* ready(sys::Db& db, std::string const& name, sys::Time now, PushRound& round);
  Topic* connect(sys::Db& db, std::string const& name, store::CertificateRow const& row);
  void push_topic(sys::Db& db, store::DueTopic const& due, Claim const& claim, sys::Time now,
                  PushRound& round);
  void finish_topic(sys::Db& db, std::string const& name, Topic& topic, sys::Time now, PushRound& round);

  Config const& config_;
  sys::SealKey push_key_;
  std::string who_;
  TellPushed tell_;
  std::map<std::string, store::CertificateRow> certificates_;  // active ones by topic, read once a round
  std::map<std::string, std::unique_ptr<Topic>> topics_;       // connections
};

}  // namespace service
