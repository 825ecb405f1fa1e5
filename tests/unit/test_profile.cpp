#include <catch2/catch.hpp>

#include "proto/profile.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/plist.hpp"

using proto::FreshProfile;
using proto::FrozenProfile;
using proto::profile_identifier;

namespace {

std::string golden(std::string const& name) {
  return sys::read_file(std::string(POMONA_TEST_DATA) + "/profile/" + name + ".plist");
}

std::string const kCertificate{"\x30\x03\x02\x01\x01", 5};

FrozenProfile frozen() {
  return {"org.example.mdm.enrollment",
          "com.apple.mgmt.External.x",
          "https://mdm.example.org/mdm",
          "https://mdm.example.org/mdm",
          proto::kAllAccessRights,
          proto::default_capabilities(),
          false};
}

FreshProfile fresh() {
  std::string fingerprint;
  for (char i = 0; i < 32; ++i) fingerprint.push_back(i);
  return {"11111111-1111-4111-8111-111111111111",
          "22222222-2222-4222-8222-222222222222",
          "Küche & Co",
          "http://mdm.example.org/scep",
          "devices",
          "SECRETCHALLENGE",
          fingerprint,
          {{kCertificate, "Example CA"}}};
}

sys::Plist payload(std::string const& profile, std::string const& type) {
  auto const root = sys::read_plist(profile);
  for (auto const& one : *root.find("PayloadContent")->array())
    if (one.find_string("PayloadType") == type) return one;
  FAIL("no payload of type " << type);
  return {};
}

}  // namespace

TEST_CASE("An enrolment profile is what plistlib writes for the same values") {
  CHECK(proto::enrollment_profile(frozen(), fresh()) == golden("enrollment"));
}

TEST_CASE("A signature profile without private CA and CA name leaves their keys out") {
  auto kept = frozen();
  kept.sign_message = true;
  auto given = fresh();
  given.trust.clear();
  given.scep_name.clear();
  CHECK(proto::enrollment_profile(kept, given) == golden("signature"));
}

TEST_CASE("A trust profile is what plistlib writes for the same values") {
  CHECK(proto::trust_profile("org.example.mdm.trust", "Küche & Co", {{kCertificate, "Example CA"}}) ==
        golden("trust"));
}

TEST_CASE("A renewal keeps every frozen value and every identifier and changes identity and challenge") {
  auto const first = proto::enrollment_profile(frozen(), fresh());
  auto again = fresh();
  again.identity_uuid = "33333333-3333-4333-8333-333333333333";
  again.challenge = "ANOTHERCHALLENGE";
  auto const second = proto::enrollment_profile(frozen(), again);

  auto before = payload(first, "com.apple.mdm");
  auto const after = payload(second, "com.apple.mdm");
  CHECK(after.find_string("IdentityCertificateUUID") == again.identity_uuid);
  before.set("IdentityCertificateUUID", again.identity_uuid);
  CHECK(before == after);
  CHECK(payload(first, "com.apple.security.scep").find_string("PayloadIdentifier") ==
        payload(second, "com.apple.security.scep").find_string("PayloadIdentifier"));
  CHECK(payload(second, "com.apple.security.scep").find("PayloadContent")->find_string("Challenge") ==
        "ANOTHERCHALLENGE");
}

TEST_CASE("A profile for one reader tells everybody else its name and nothing more") {
  auto const whole = sys::read_plist(proto::enrollment_profile(frozen(), fresh()));
  auto const payloads = sys::read_plist(proto::enrollment_payloads(frozen(), fresh()));
  CHECK(payloads == *whole.find("PayloadContent"));
  auto const text = proto::encrypted_enrollment_profile(frozen(), fresh(), "ENVELOPED");
  CHECK(text.find("SECRETCHALLENGE") == std::string::npos);
  auto const root = sys::read_plist(text);
  CHECK(root.find("PayloadContent") == nullptr);
  CHECK(root.find_bool("IsEncrypted") == true);
  CHECK(root.find_data("EncryptedPayloadContent") == "ENVELOPED");
  for (char const* key : {"PayloadIdentifier", "PayloadUUID", "PayloadType"})
    CHECK(root.find_string(key) == whole.find_string(key));
}

TEST_CASE("One certificate that stands twice in the CA file becomes one payload") {
  auto given = fresh();
  given.trust.push_back(given.trust.front());
  CHECK(proto::enrollment_profile(frozen(), given) == golden("enrollment"));
}

TEST_CASE("Text that no property list can hold is refused") {
  auto given = fresh();
  given.organization = std::string("bell\x07");
  CHECK_THROWS_AS(proto::enrollment_profile(frozen(), given), sys::Error);
}

TEST_CASE("The profile identifier is the host name reversed, and an address as it is") {
  CHECK(profile_identifier("https://mdm.example.org", "enrollment") == "org.example.mdm.enrollment");
  CHECK(profile_identifier("https://mdm.example.org:8443/path", "trust") == "org.example.mdm.trust");
  CHECK(profile_identifier("https://localhost:8443", "enrollment") == "localhost.enrollment");
  CHECK(profile_identifier("https://127.0.0.1:8443", "enrollment") == "127.0.0.1.enrollment");
  CHECK(profile_identifier("https://[2001:db8::1]:443", "enrollment") == "2001:db8::1.enrollment");
}

TEST_CASE("Derived UUIDs have the form of UUIDs and depend on both arguments") {
  auto const uuid = proto::derived_uuid("a", "b");
  REQUIRE(uuid.size() == 36);
  CHECK(uuid[14] == '8');
  CHECK(std::string("89AB").find(uuid[19]) != std::string::npos);
  CHECK(uuid == proto::derived_uuid("a", "b"));
  CHECK(uuid != proto::derived_uuid("a", "c"));
  CHECK(uuid != proto::derived_uuid("ab", ""));
}
