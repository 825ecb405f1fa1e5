// Pushing: everything that is due, or some enrolments at once.
//
// Each topic has its own connections, its own database connection and its own thread while it is pushed to: a
// topic for which APNs does not answer holds up no other. A round of a topic begins with its active push
// certificate as it is in the database then. A certificate that has expired or is missing disables nothing:
// its devices stay due and are pushed once it is renewed. Verdicts about tokens are applied when a topic's
// round has ended (docs/data-and-trust.md section 9).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "service/config.hpp"
#include "service/push_flow.hpp"
#include "store/certificates.hpp"
#include "store/push.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

struct PushRound {
  std::int64_t sent = 0;
  std::int64_t accepted = 0;
  std::vector<std::string> problems;  // sentences for the admin: a topic was stopped or could not begin
  bool failed = false;                // one of them needs an admin
  bool unreachable = false;           // APNs did not answer; trying again later may help
};

// What a Pusher works with; all of it outlives the Pusher. `tell` and `may_claim` are called by several
// threads at once. Once `may_claim` says no, what is claimed is finished and no more is taken.
struct PushTools {
  std::function<sys::Db()> connect;  // for each topic
  PushClock clock;
  TellPushed tell;
  std::function<bool()> may_claim = [] { return true; };
};

class Pusher {
 public:
  // `who` is named in events.
  Pusher(Config const& config, sys::KeyRing push_key, std::string who, PushTools tools);
  Pusher(Pusher const&) = delete;
  Pusher& operator=(Pusher const&) = delete;
  ~Pusher();  // waits for what is under way

  // Begins the rounds of the topics that have something due and are not under way. One query where nothing is
  // due. Returns whether topics had to be left for the next time, because too many are under way. Throws
  // Error{unavailable} when the database is away.
  bool begin(sys::Db& db, PushRound& round);
  [[nodiscard]] bool busy() const;
  // Takes in the rounds that have ended. Throws what ended them, the others being kept for the next call.
  void collect(PushRound& round);

  // Pushes these enrolments now, one topic after the other, due or not, dead tokens too. Those that another
  // run is pushing at this moment stay due and are not told of.
  PushRound push_now(sys::Db& db, std::vector<store::PushTarget> const& targets);

 private:
  struct Lane;

  void load_certificates(sys::Db& db);
  // Whether the topic can be pushed to now, with its connections set up; else a problem in `round`, or it was
  // stopped a moment ago.
  bool ready(sys::Db& db, std::string const& topic, Lane& lane, PushRound& round);
  void connect(sys::Db& db, std::string const& topic, Lane& lane, PushRound& round);
  void start(std::string const& topic, std::int64_t due, Lane& lane);
  void run(sys::Db& db, std::string const& topic, Lane& lane, ClaimPushes const& claim, TopicTally tally,
           PushRound& round);
  void finish(sys::Db& db, std::string const& topic, Lane& lane, TopicTally const& tally,
              std::vector<TokenVerdict> const& verdicts, PushRound& round);

  Config const& config_;
  sys::KeyRing push_key_;
  std::string who_;
  PushTools tools_;
  std::map<std::string, store::CertificateRow> certificates_;  // active ones by topic, as just read
  std::map<std::string, std::unique_ptr<Lane>> lanes_;         // by topic
};

}  // namespace service
