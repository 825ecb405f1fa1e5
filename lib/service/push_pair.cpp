#include "service/push_pair.hpp"

#include <algorithm>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using sys::Error;
using sys::Fault;

constexpr char const* kUserId = "0.9.2342.19200300.100.1.1";  // UID, where Apple puts the topic

[[noreturn]] void refuse(std::string const& why) {
  throw Error(Fault::bad_request, "import push certificate: " + why);
}

// The column is ascii; and a topic is a header value.
bool is_topic_text(std::string_view topic) {
  constexpr std::size_t kLongest = 255;
  return topic.size() <= kLongest && std::all_of(topic.begin(), topic.end(), [](unsigned char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
                  c == '-' || c == '_';
         });
}

std::string name_of(sys::Cert const& cert) {
  auto const topic = topic_of(cert);
  return topic ? *topic : sys::escape_controls(cert.subject());
}

bool has_key(PushFiles const& files, sys::Cert const& cert) {
  auto const own = cert.public_key();
  return std::any_of(files.keys.begin(), files.keys.end(),
                     [&](sys::Key const& key) { return own.same_public_key(key); });
}

sys::Key key_of(PushFiles const& files, sys::Cert const& leaf, std::optional<sys::Key> const& staged) {
  auto const own = leaf.public_key();
  for (auto const& key : files.keys) {
    if (own.same_public_key(key)) return key;
  }
  if (files.keys.empty() && staged) return *staged;
  if (files.keys.empty()) {
    refuse(
        "there is no private key: neither in the files nor in staging here, so its request was not made by "
        "this "
        "server. Name the key's file after it: `pomona push-cert import CERT KEY`");
  }
  refuse("the private key does not belong to the certificate of " + name_of(leaf) +
         (staged ? "; its key waits here in staging already: leave the key's file out"
                 : "; use the key that its request was made with"));
}

void check_dates(sys::Cert const& cert, sys::Time now) {
  if (cert.not_after() < now) {
    refuse(
        "it expired on " + sys::certbot_time(cert.not_after()) +
        (is_vendor_certificate(cert)
             ? "; get the vendor certificate's successor at developer.apple.com and import that"
             : "; renew it at identity.apple.com (Renew, not Create, with the same Apple ID) and import the "
               "new one"));
  }
  if (now < cert.not_before()) {
    refuse("it is valid only from " + sys::certbot_time(cert.not_before()) + "; check this host's clock");
  }
}

}  // namespace

std::optional<std::string> topic_of(sys::Cert const& cert) {
  auto topic = cert.subject_value(kUserId);
  if (!topic || !topic->starts_with(kPushTopicPrefix)) return std::nullopt;
  return topic;
}

bool is_vendor_certificate(sys::Cert const& cert) {
  return !topic_of(cert) && cert.subject_value("CN").value_or("").starts_with("MDM Vendor");
}

sys::Cert push_leaf(PushFiles const& files) {
  auto const find = [&](auto const& fits) {
    return std::find_if(files.certs.begin(), files.certs.end(), fits);
  };
  auto found = find([](auto const& cert) { return topic_of(cert).has_value(); });
  if (found == files.certs.end()) found = find([&](auto const& cert) { return has_key(files, cert); });
  if (found == files.certs.end()) found = find([](auto const& cert) { return !cert.is_ca(); });
  return found == files.certs.end() ? files.certs.front() : *found;
}

KeyedCert pair_with_key(PushFiles const& files, sys::Cert const& leaf, std::optional<sys::Key> const& staged,
                        sys::Time now) {
  KeyedCert out{leaf, key_of(files, leaf, staged)};
  check_dates(leaf, now);
  auto const own = leaf.sha256();
  for (auto const& cert : files.certs) {
    if (cert.sha256() != own) out.chain += cert.pem();
  }
  return out;
}

PushPair check_push_pair(PushFiles const& files, sys::Cert const& leaf, std::optional<sys::Key> const& staged,
                         sys::Time now) {
  auto const topic = topic_of(leaf);
  if (is_vendor_certificate(leaf)) {
    refuse(
        "this is the MDM vendor certificate " + sys::escape_controls(leaf.subject()) +
        ": it signs customers' requests and cannot push. A push certificate is what identity.apple.com gives "
        "for a request that was signed with it. Whoever is that vendor imports it with its own key, or where "
        "`pomona push-cert vendor-request` made that");
  }
  if (!topic) {
    refuse(
        "the certificate of " + sys::escape_controls(leaf.subject()) +
        " has no topic (a subject UID that begins with " + kPushTopicPrefix +
        "); it is not an MDM push certificate. Those come from identity.apple.com and are called APSP:...");
  }
  if (!is_topic_text(*topic)) refuse("its topic has characters that no topic has");
  auto pair = pair_with_key(files, leaf, staged, now);
  if (!leaf.allows_client_auth()) {
    refuse("its extended key usage does not allow TLS client authentication, so APNs would refuse it");
  }
  return {pair.cert, pair.key, *topic, std::move(pair.chain)};
}

}  // namespace service
