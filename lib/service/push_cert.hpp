// Push certificates: taking one in, and what is known of those there are.
//
// A topic lives as long as its enrolments: devices accept pushes of that one topic only, and a new topic
// means enrolling them again. So a certificate of a known topic takes the place of the one before (which is
// kept, with its key, for a step back), and a certificate of another topic is refused beside live enrolments
// unless the admin says that it is meant. Files come from an admin and are read as untrusted all the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/certificates.hpp"
#include "sys/mariadb.hpp"
#include "sys/seal.hpp"
#include "sys/time.hpp"
#include "sys/x509.hpp"

namespace service {

inline constexpr char const* kPushTopicPrefix = "com.apple.mgmt.";

// A certificate with its key that passed every check that needs no database: a topic in the subject's UID,
// the key belongs to it, valid now, usable as TLS client. Throws Error{bad_request} saying which did not hold
// and what to do.
struct PushPair {
  sys::Cert cert;
  sys::Key key;
  std::string topic;
  std::string chain;  // PEM of further certificates in the file; "" when there are none
};
// `key_file` nullopt: the first file holds both.
PushPair read_push_pair(std::string_view file, std::optional<sys::SecretBytes> const& key_file,
                        sys::Time now);

struct PushImport {
  std::string topic;
  std::string sha256;
  sys::Time not_after;
  bool unchanged = false;                         // it was the active one already
  std::optional<store::CertificateRow> replaced;  // the active one before
  std::int64_t devices = 0;                       // live enrolments of the topic
  std::vector<std::string> warnings;              // sentences for the admin
};

// Stores the pair and makes it the active one of its topic; pomona-push uses it from its next round, and
// tries again at once what failed with the one before. Throws Error{conflict} for a new topic beside live
// enrolments without `new_topic`.
PushImport import_push_certificate(sys::Db& db, sys::SealKey const& push_key, PushPair const& pair,
                                   bool new_topic, std::string const& who, sys::Time now);

struct PushCertificate {
  store::CertificateRow row;
  std::int64_t devices = 0;  // live enrolments of its topic
};
// Newest first; `topic` nullopt: of all topics.
std::vector<PushCertificate> list_push_certificates(sys::Db& db, std::optional<std::string> const& topic);

// The key of a stored push certificate as PEM.
sys::SecretBytes open_push_key(sys::Db& db, sys::SealKey const& push_key, store::CertificateRow const& row);

}  // namespace service
