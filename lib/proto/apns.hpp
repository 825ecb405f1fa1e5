// One MDM push to Apple's push service: request and answer. Pure.
//
// Sources: Apple, "Sending notification requests to APNs" and "Handling notification responses from APNs";
// key names are those of the HTTP/2 headers. Push token and PushMagic come from devices, the answer from the
// network: both are untrusted.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sys/time.hpp"

namespace proto {

struct ApnsPush {
  std::string token;       // raw bytes
  std::string push_magic;  // UTF-8
  std::string topic;
  sys::Time expires;  // until then APNs keeps it for a silent device
  std::string id;     // UUID, any case
};

struct ApnsRequest {
  std::string path;  // /3/device/TOKEN
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // {"mdm":"PushMagic"}
};

// Throws Error{bad_request} when the device sent a token or a PushMagic that APNs cannot be given.
ApnsRequest build_apns_request(ApnsPush const& push);

enum class ApnsVerdict {
  accepted,       // taken by APNs, which is not delivered
  unregistered,   // 410: the token is dead, if the device has not sent a newer one since `timestamp`
  bad_token,      // this token is of no use with this certificate, ever
  topic_refused,  // certificate or topic is wrong: nothing of this topic will be taken
  refused,        // 400 and 403 for other reasons, and what only a defect of ours can cause
  slow_down,      // 429: too much to one device
  later,          // APNs is in trouble
  no_answer,      // transport failed
};
char const* apns_verdict_name(ApnsVerdict verdict) noexcept;

struct ApnsAnswer {
  ApnsVerdict verdict = ApnsVerdict::no_answer;
  long status = 0;
  std::string reason;                  // Apple's word, or why there was no answer; printable
  std::optional<sys::Time> timestamp;  // with 410: since when the token is dead
  std::string apns_id;
};

// Whether the answer counts towards the share of refusals that stops a topic: 400 and 403 about the push.
bool counts_as_refusal(ApnsAnswer const& answer) noexcept;

// `status` 0 is a transport failure. An answer that is no JSON gives an empty reason.
ApnsAnswer read_apns_answer(long status, std::string_view apns_id, std::string_view body);

}  // namespace proto
