#include "proto/apns.hpp"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace proto {

namespace {

using sys::Error;
using sys::Fault;

constexpr std::size_t kPayloadLimit = 4096;
constexpr std::size_t kTokenLimit = 255;
constexpr std::size_t kReasonLimit = 64;

// APNs answers are small; more is not looked at.
constexpr std::size_t kAnswerLimit = 4096;

bool one_of(std::string_view reason, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), reason) != words.end();
}

ApnsVerdict judge(long status, std::string_view reason) {
  if (status == 0) return ApnsVerdict::no_answer;
  if (status == 200) return ApnsVerdict::accepted;
  if (status == 410) return ApnsVerdict::unregistered;
  if (status == 429) return ApnsVerdict::slow_down;
  if (status >= 500 || reason == "IdleTimeout") return ApnsVerdict::later;
  if (one_of(reason, {"BadDeviceToken", "DeviceTokenNotForTopic"})) return ApnsVerdict::bad_token;
  if (one_of(reason,
             {"BadTopic", "MissingTopic", "TopicDisallowed", "BadCertificate", "BadCertificateEnvironment",
              "MissingProviderToken", "InvalidProviderToken", "ExpiredProviderToken"})) {
    return ApnsVerdict::topic_refused;
  }
  return ApnsVerdict::refused;
}

// A reason is one word of letters and digits; anything else is not repeated in logs and tables.
std::string clean_reason(std::string const& reason) {
  bool const word =
      reason.size() <= kReasonLimit && std::all_of(reason.begin(), reason.end(), [](unsigned char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      });
  return word ? reason : "unreadable";
}

bool looks_like_uuid(std::string_view text) {
  return text.size() == 36 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f') || c == '-';
         });
}

void read_body(ApnsAnswer& answer, std::string_view body) {
  if (body.size() > kAnswerLimit) return;
  auto const json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return;
  if (auto const reason = json.find("reason"); reason != json.end() && reason->is_string()) {
    answer.reason = clean_reason(reason->get<std::string>());
  }
  constexpr std::int64_t kLatest = 253402300799;  // the end of the year 9999
  if (auto const at = json.find("timestamp"); at != json.end() && at->is_number_integer()) {
    auto const milliseconds = at->get<std::int64_t>();
    if (milliseconds > 0 && milliseconds / 1000 <= kLatest) {
      answer.timestamp = sys::Time(std::chrono::milliseconds(milliseconds));
    }
  }
}

}  // namespace

ApnsRequest build_apns_request(ApnsPush const& push) {
  if (push.token.empty() || push.token.size() > kTokenLimit) {
    throw Error(Fault::bad_request, "push: the token that the device sent is empty or too long");
  }
  if (push.push_magic.empty() || !sys::is_utf8(push.push_magic)) {
    throw Error(Fault::bad_request, "push: the PushMagic that the device sent is empty or not UTF-8");
  }
  ApnsRequest request;
  request.path = "/3/device/" + sys::hex(push.token);
  request.body = nlohmann::json{{"mdm", push.push_magic}}.dump();
  if (request.body.size() > kPayloadLimit) {
    throw Error(Fault::bad_request, "push: the PushMagic that the device sent is longer than APNs takes");
  }
  request.headers = {{"apns-topic", push.topic},
                     {"apns-push-type", "mdm"},
                     {"apns-priority", "10"},
                     {"apns-expiration", std::to_string(sys::unix_seconds(push.expires))},
                     {"apns-id", sys::to_lower(push.id)},
                     {"content-type", "application/json"}};
  return request;
}

char const* apns_verdict_name(ApnsVerdict verdict) noexcept {
  constexpr std::array kNames{"accepted", "unregistered", "bad-token", "topic-refused",
                              "refused",  "slow-down",    "later",     "no-answer"};
  return kNames.at(static_cast<std::size_t>(verdict));
}

bool counts_as_refusal(ApnsAnswer const& answer) noexcept {
  return (answer.status == 400 || answer.status == 403) && answer.verdict != ApnsVerdict::later;
}

ApnsAnswer read_apns_answer(long status, std::string_view apns_id, std::string_view body) {
  ApnsAnswer answer;
  answer.status = status;
  if (looks_like_uuid(apns_id)) answer.apns_id = std::string(apns_id);
  if (status != 0 && status != 200) read_body(answer, body);
  answer.verdict = judge(status, answer.reason);
  return answer;
}

}  // namespace proto
