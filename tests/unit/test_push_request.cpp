// Push certificate requests: what is read, what is refused, and how much of it.
#include <catch2/catch.hpp>

#include "proto/mdmcert.hpp"
#include "proto/push_request.hpp"
#include "service/push_file.hpp"
#include "sys/cms.hpp"
#include "sys/csr.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace {

sys::Time const kNow = sys::from_unix(1'800'000'000);

sys::Cert certificate(std::string const& name, sys::Key const& key, bool ca,
                      std::optional<sys::Cert> const& issuer, sys::Key const& issuer_key, int days) {
  sys::CertTemplate wanted;
  wanted.subject = {{"CN", name}};
  wanted.serial = sys::random_serial();
  wanted.not_before = kNow - sys::seconds(86400);
  wanted.not_after = kNow + sys::seconds(86400LL * days);
  wanted.ca = ca;
  return sys::issue(wanted, key, issuer, issuer_key);
}

}  // namespace

TEST_CASE("files that are larger than any request are refused unread") {
  std::string const large(3 * proto::kLargestPushRequest, 'a');
  CHECK_THROWS_AS(proto::read_push_request(large), sys::Error);
  CHECK_THROWS_AS(proto::read_encrypted_request(large), sys::Error);
  CHECK_FALSE(proto::looks_like_push_request(large));
  CHECK_FALSE(proto::looks_like_encrypted_request(large));
  auto const findings = proto::check_push_request(large, kNow);
  REQUIRE(findings.size() == 1);
  CHECK_FALSE(findings.front().good);
}

TEST_CASE("a request that was written is read as it was and found good") {
  auto const root_key = sys::Key::generate_rsa(2048);
  auto const root = certificate("Root", root_key, true, std::nullopt, root_key, 100);
  auto const middle_key = sys::Key::generate_rsa(2048);
  auto const middle = certificate("Middle", middle_key, true, root, root_key, 50);
  auto const older = certificate("Middle", middle_key, true, root, root_key, 20);
  auto const vendor_key = sys::Key::generate_rsa(2048);
  auto const vendor = certificate("MDM Vendor: X", vendor_key, false, middle, middle_key, 10);
  auto const chain = proto::build_vendor_chain(vendor, {older, root, middle}, kNow);
  REQUIRE(chain.size() == 3);
  CHECK(proto::is_complete_chain(chain));
  CHECK(chain[1].sha256() == middle.sha256());
  CHECK_FALSE(proto::is_complete_chain(proto::build_vendor_chain(vendor, {root}, kNow)));

  auto const csr =
      sys::Csr::build({{"CN", "push"}, {"emailAddress", "a@example.org"}}, sys::Key::generate_rsa(2048));
  auto const file = proto::write_push_request(
      csr.der(), chain, sys::sign_rsa(vendor_key, sys::SignatureDigest::sha256, csr.der()));
  CHECK(proto::looks_like_push_request(file));
  CHECK(sys::unbase64(proto::read_push_request(file).csr) == csr.der());
  for (auto const& finding : proto::check_push_request(file, kNow)) {
    INFO(finding.text);
    CHECK(finding.good);
  }
  bool wrong = false;
  for (auto const& finding : proto::check_push_request(file, kNow + sys::seconds(86400 * 11)))
    wrong |= !finding.good;
  CHECK(wrong);
  CHECK(service::wrong_file(file).find("upload it") != std::string::npos);

  auto const secret = sys::encrypt_to(file, vendor);
  CHECK(proto::read_encrypted_request(sys::hex(secret)) == secret);
  CHECK(sys::decrypt_enveloped(secret, vendor, vendor_key) == file);
  CHECK(sys::decrypt_enveloped(secret, middle, middle_key) == std::nullopt);
  CHECK(service::wrong_file(sys::hex(secret)).find("mdmcert-decrypt") != std::string::npos);
}

TEST_CASE("answers of mdmcert.download") {
  CHECK(proto::read_mdmcert_answer(200, R"({"result":"success"})").empty());
  CHECK(proto::read_mdmcert_answer(200, R"({"result":"failure","reason":"no\nthanks"})") ==
        "it refused: no\\nthanks");
  CHECK(proto::read_mdmcert_answer(503, "busy").find("503") != std::string::npos);
  for (auto const* body : {"", "[]", "{}", R"({"result":1})", "<html>"}) {
    CHECK(proto::read_mdmcert_answer(200, body).find("no answer of that service") != std::string::npos);
  }
}
