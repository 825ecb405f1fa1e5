// One device's life against a server that answers unreliably: it enrols, polls, reports, renews, leaves and
// enrols again, and repeats what got no answer or a 5xx until it gets one, as Apple's client does over its
// sessions. Everything it sends and is answered stands in the journal. Nothing is thrown: what a server must
// not do (refuse an honest device, answer with something unreadable) is journalled as it came.
#pragma once
#include <atomic>
#include <optional>
#include <random>
#include <string>

#include "device.hpp"
#include "journal.hpp"
#include "keys.hpp"
#include "session.hpp"

namespace device {

// How often, 0 to 1, a device does what makes life hard for a server.
struct Moods {
  double not_now = 0;    // of commands
  double error = 0;      // of commands
  double repeat = 0;     // of reports that were answered: sent once more
  double abandon = 0;    // of commands: the session ends there, without a report
  double enrol = 0;      // of sessions: the device enrols anew instead
  double leave = 0;      // of sessions: CheckOut, and a new enrolment later
  double other_key = 0;  // of SCEP requests without an answer: the next one brings another key
  double quiet = 0;      // of renewals: neither Authenticate nor TokenUpdate
};

// What all lives share.
struct World {
  std::string url;
  KeyPool& keys;
  Journal& journal;
  Moods moods;
  double every = 10;                 // seconds between sessions, on average
  std::atomic<bool> ending = false;  // no more moods: finish what was begun
};

class Life {
 public:
  Life(World& world, Device device, std::uint64_t seed);
  // Goes on until something gets no answer or the session is over; gives the seconds until it wants more.
  double live();
  void check_out_at_end() { leaves_at_end_ = true; }
  // Once the world is ending: enrolled (or checked out) with nothing owed and nothing queued.
  bool done() const { return finished_ && (!leaves_at_end_ || stage_ == Stage::bare); }
  const Device& device() const { return device_; }
  std::string stage_name() const;
  void tell_end() const;

 private:
  enum class Stage { bare, profile, identity, authenticated, token_told, enrolled, new_identity, leaving };
  // False: no usable answer, try again later.
  bool fetch();
  bool get_certificate();
  bool authenticate();
  bool update_token();
  bool escrow();
  bool hold();
  bool leave();
  bool step();
  bool begin_renewal(const Command& command);
  void renewed();
  bool report(const Command& command);
  void next_mood();
  std::optional<Reply> put(const std::string& message, const std::string& body, Journal::Fields fields);
  bool settled(const std::optional<Reply>& reply);  // 2xx; a 4xx sends the device back to the start
  bool chance(double probability);
  std::string presented() const;
  void owe(const Command& command, const Answer& given);

  World& world_;
  Device device_;
  Http http_;
  std::mt19937_64 random_;
  Stage stage_ = Stage::bare;
  std::optional<Profile> profile_;
  Key key_;
  int keys_ = 0;       // tried for this profile
  Identity identity_;  // got by SCEP, not yet the device's
  std::optional<Command> renewal_;
  std::string owed_uuid_, owed_status_;  // of device_.channel.pending_report
  bool in_session_ = false;
  bool finished_ = false;
  bool leaves_at_end_ = false;
};

}  // namespace device
