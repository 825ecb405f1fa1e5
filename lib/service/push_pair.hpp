// A push certificate with its key, out of what an admin's files hold: every check that needs no database.
#pragma once

#include <optional>
#include <string>

#include "service/push_file.hpp"
#include "sys/key.hpp"
#include "sys/time.hpp"
#include "sys/x509.hpp"

namespace service {

inline constexpr char const* kPushTopicPrefix = "com.apple.mgmt.";

// The certificate that is meant, the others being its chain: the one with a topic, else one that a key of the
// files belongs to, else the first that is no CA.
sys::Cert push_leaf(PushFiles const& files);

// Apple calls it "MDM Vendor: ..."; it signs requests and cannot push.
bool is_vendor_certificate(sys::Cert const& cert);

// The subject's UID where it is a topic of device management.
std::optional<std::string> topic_of(sys::Cert const& cert);

// A certificate whose key belongs to it, valid now. Throws Error{bad_request} saying which does not hold and
// what to do. `staged`: the key that waits here for this very certificate, where there is one; a key in the
// files comes first.
struct KeyedCert {
  sys::Cert cert;
  sys::Key key;
  std::string chain = {};  // PEM of the files' further certificates; "" when there are none
};
KeyedCert pair_with_key(PushFiles const& files, sys::Cert const& leaf, std::optional<sys::Key> const& staged,
                        sys::Time now);

// The same, with a topic in the subject's UID and usable as TLS client.
struct PushPair {
  sys::Cert cert;
  sys::Key key;
  std::string topic;
  std::string chain;
};
PushPair check_push_pair(PushFiles const& files, sys::Cert const& leaf, std::optional<sys::Key> const& staged,
                         sys::Time now);

}  // namespace service
