#include <catch2/catch.hpp>

#include "proto/apns.hpp"
#include "sys/error.hpp"

namespace {

proto::ApnsPush push_to(std::string token, std::string magic) {
  return {std::move(token), std::move(magic), "com.apple.mgmt.External.x", sys::from_unix(1'800'000'000),
          "0123ABCD-0000-4000-8000-00000000ABCD"};
}

std::string header(proto::ApnsRequest const& request, std::string_view name) {
  for (auto const& [key, value] : request.headers)
    if (key == name) return value;
  return "absent";
}

}  // namespace

TEST_CASE("A push has the path, headers and body that Apple documents") {
  auto const request = proto::build_apns_request(push_to("\xAB\xCD\x01", "magic"));
  CHECK(request.path == "/3/device/abcd01");
  CHECK(request.body == R"({"mdm":"magic"})");
  CHECK(header(request, "apns-topic") == "com.apple.mgmt.External.x");
  CHECK(header(request, "apns-push-type") == "mdm");
  CHECK(header(request, "apns-priority") == "10");
  CHECK(header(request, "apns-expiration") == "1800000000");
  CHECK(header(request, "apns-id") == "0123abcd-0000-4000-8000-00000000abcd");
}

TEST_CASE("A PushMagic cannot leave its JSON string") {
  CHECK(proto::build_apns_request(push_to("t", "\",\"aps\":{}\\\n\x01")).body ==
        R"({"mdm":"\",\"aps\":{}\\\n\u0001"})");
  CHECK(proto::build_apns_request(push_to("t", "Gr\xC3\xBC\xC3\x9F")).body ==
        "{\"mdm\":\"Gr\xC3\xBC\xC3\x9F\"}");
}

TEST_CASE("What a device sent and APNs cannot be given is refused, that item only") {
  CHECK_THROWS_AS(proto::build_apns_request(push_to("t", "\xFF")), sys::Error);
  CHECK_THROWS_AS(proto::build_apns_request(push_to("t", "\xC0\xAF")), sys::Error);
  CHECK_THROWS_AS(proto::build_apns_request(push_to("t", "")), sys::Error);
  CHECK_THROWS_AS(proto::build_apns_request(push_to("", "magic")), sys::Error);
  CHECK_THROWS_AS(proto::build_apns_request(push_to(std::string(256, 't'), "magic")), sys::Error);
  CHECK_THROWS_AS(proto::build_apns_request(push_to("t", std::string(5000, 'm'))), sys::Error);
}

TEST_CASE("Each answer of APNs gets its verdict") {
  using proto::ApnsVerdict;
  struct Case {
    long status;
    char const* reason;
    ApnsVerdict verdict;
  };
  for (auto const& one : {Case{200, "", ApnsVerdict::accepted},
                          {400, "BadDeviceToken", ApnsVerdict::bad_token},
                          {400, "DeviceTokenNotForTopic", ApnsVerdict::bad_token},
                          {400, "BadTopic", ApnsVerdict::topic_refused},
                          {400, "MissingTopic", ApnsVerdict::topic_refused},
                          {400, "TopicDisallowed", ApnsVerdict::topic_refused},
                          {400, "IdleTimeout", ApnsVerdict::later},
                          {400, "BadMessageId", ApnsVerdict::refused},
                          {400, "SomethingNew", ApnsVerdict::refused},
                          {403, "BadCertificate", ApnsVerdict::topic_refused},
                          {403, "BadCertificateEnvironment", ApnsVerdict::topic_refused},
                          {403, "MissingProviderToken", ApnsVerdict::topic_refused},
                          {403, "Forbidden", ApnsVerdict::refused},
                          {404, "BadPath", ApnsVerdict::refused},
                          {410, "Unregistered", ApnsVerdict::unregistered},
                          {410, "ExpiredToken", ApnsVerdict::unregistered},
                          {413, "PayloadTooLarge", ApnsVerdict::refused},
                          {429, "TooManyRequests", ApnsVerdict::slow_down},
                          {500, "InternalServerError", ApnsVerdict::later},
                          {503, "Shutdown", ApnsVerdict::later},
                          {0, "", ApnsVerdict::no_answer}}) {
    auto const answer =
        proto::read_apns_answer(one.status, "", std::string(R"({"reason":")") + one.reason + "\"}");
    INFO(one.status << ' ' << one.reason);
    CHECK(answer.verdict == one.verdict);
    bool const counted = (one.status == 400 || one.status == 403) && one.verdict != ApnsVerdict::later;
    CHECK(proto::counts_as_refusal(answer) == counted);
  }
}

TEST_CASE("A 410 brings the time since when the token is dead") {
  auto const answer =
      proto::read_apns_answer(410, "", R"({"reason":"Unregistered","timestamp":1700000000123})");
  CHECK(answer.timestamp == sys::Time(std::chrono::milliseconds(1'700'000'000'123)));
}

TEST_CASE("An answer that is no answer of APNs is read as far as it goes and repeated nowhere") {
  for (auto const* body :
       {"", "not json", "[]", "{\"reason\":7}", "{\"reason\":\"Un", "null", "{\"timestamp\":\"x\"}"}) {
    auto const answer = proto::read_apns_answer(410, "", body);
    INFO(body);
    CHECK(answer.reason.empty());
    CHECK_FALSE(answer.timestamp);
  }
  CHECK(proto::read_apns_answer(400, "", "{\"reason\":\"a b\\n\"}").reason == "unreadable");
  CHECK(proto::read_apns_answer(400, "", "{\"reason\":\"" + std::string(65, 'A') + "\"}").reason ==
        "unreadable");
  CHECK(proto::read_apns_answer(400, "", std::string(100'000, '[')).reason.empty());
  for (auto const* at :
       {"-1", "0", "1e30", "999999999999999999", "9223372036854775807", "18446744073709551615"}) {
    INFO(at);
    CHECK_FALSE(proto::read_apns_answer(410, "", std::string("{\"timestamp\":") + at + "}").timestamp);
  }
  CHECK(proto::read_apns_answer(200, "0123abcd-0000-4000-8000-00000000abcd", "").apns_id ==
        "0123abcd-0000-4000-8000-00000000abcd");
  CHECK(proto::read_apns_answer(200, "x\ny", "").apns_id.empty());
}
