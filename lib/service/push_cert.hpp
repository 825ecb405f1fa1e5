// Push certificates: taking one in, a step back, and what is known of those there are.
//
// A topic lives as long as its enrolments: devices accept pushes of that one topic only, and a new topic
// means enrolling them again. So a certificate of a known topic takes the place of the one before (which is
// kept, with its key, for a step back), and a certificate of another topic is refused beside live enrolments
// unless the admin says what is meant. pomona-push reads the active ones at the beginning of each round.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "service/push_pair.hpp"
#include "store/certificates.hpp"
#include "store/push_requests.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

// What an admin says about a topic that no enrolled device has.
struct TopicChoice {
  bool new_topic = false;                 // beside the others, for new devices
  std::optional<std::string> replace;     // that topic is given up, and its devices with it
  std::optional<std::int64_t> confirmed;  // how many devices the admin knows to lose with it
};

struct PushImport {
  std::string topic;
  std::string sha256;
  sys::Time not_after;
  bool unchanged = false;                         // it was the active one already
  std::optional<store::CertificateRow> replaced;  // the active one before
  std::int64_t devices = 0;                       // live enrolments of the topic
  std::int64_t lost = 0;                          // of the topic that was given up
  std::vector<std::string> warnings;              // sentences for the admin
};

// Stores the pair and makes it the active one of its topic; pomona-push tries again at once what failed with
// the one before. A key that waited in staging for it leaves there. Throws Error{conflict} for a new topic
// beside live enrolments without a choice, and for a choice whose count is not that of the devices lost.
PushImport import_push_certificate(sys::Db& db, sys::KeyRing const& push_key, PushPair const& pair,
                                   TopicChoice const& choice, store::PushTopicNote const& note,
                                   std::string const& who, sys::Time now);

// Live enrolments of a topic: who is lost with it.
std::int64_t devices_of_topic(sys::Db& db, std::string const& topic);

// One step back: the certificate that was active before becomes so again, and the active one is kept in its
// place; done twice it is as before. `topic` nullopt: the only one with an active certificate. Throws
// Error{not_found} where there is none before, Error{conflict} where it has expired.
struct PushRollback {
  store::CertificateRow now_active;
  std::optional<store::CertificateRow> set_aside;
  std::int64_t devices = 0;
};
PushRollback roll_back_push_certificate(sys::Db& db, sys::KeyRing const& push_key,
                                        std::optional<std::string> const& topic, std::string const& who,
                                        sys::Time now);

struct PushCertificate {
  store::CertificateRow row;
  std::int64_t devices = 0;   // live enrolments of its topic
  store::PushTopicNote note;  // of its topic
};
// Newest first; `topic` nullopt: of all topics.
std::vector<PushCertificate> list_push_certificates(sys::Db& db, std::optional<std::string> const& topic);

}  // namespace service
