// Keys, certificates and CMS against the openssl command, which we did not write.
#include <catch2/catch.hpp>

#include "folder.hpp"
#include "sys/cms.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/key.hpp"
#include "sys/text.hpp"
#include "sys/x509.hpp"

namespace {

sys::Time const kNow = *sys::parse_iso_time("2027-01-01T00:00:00Z");

sys::CertTemplate ca_template() {
  sys::CertTemplate ca;
  ca.subject = {{"O", "Pomona"}, {"CN", "Test CA"}};
  ca.serial = sys::random_serial();
  ca.not_before = kNow;
  ca.not_after = kNow + sys::seconds(86400 * 3650);
  ca.ca = true;
  ca.path_length = 0;
  ca.key_usage = sys::kKeyCertSign | sys::kCrlSign;
  return ca;
}

sys::CertTemplate leaf_template() {
  sys::CertTemplate leaf;
  leaf.subject = {{"CN", "device"}};
  leaf.serial = sys::random_serial();
  leaf.not_before = kNow;
  leaf.not_after = kNow + sys::seconds(86400 * 30);
  leaf.key_usage = sys::kDigitalSignature | sys::kKeyEncipherment;
  leaf.client_auth = true;
  leaf.uri_sans = {"urn:pomona:A:1"};
  return leaf;
}

struct Pair {
  sys::Key ca_key;
  sys::Cert ca;
  sys::Key key;
  sys::Cert leaf;
};

Pair make_pair(sys::Key const& ca_key) {
  auto const ca = sys::issue(ca_template(), ca_key, std::nullopt, ca_key);
  auto const key = sys::Key::generate_rsa(2048);
  return {ca_key, ca, key, sys::issue(leaf_template(), key, ca, ca_key)};
}

}  // namespace

TEST_CASE("openssl verify -x509_strict accepts the certificates we build, for RSA and EC issuers") {
  for (auto const& ca_key : {sys::Key::generate_rsa(2048), sys::Key::generate_ec(sys::Curve::p256),
                             sys::Key::generate_ec(sys::Curve::p384)}) {
    auto const made = make_pair(ca_key);
    Folder const folder;
    folder.put("ca.pem", made.ca.pem());
    folder.put("leaf.pem", made.leaf.pem());
    CHECK(folder.run("openssl verify -x509_strict -attime " + std::to_string(sys::unix_seconds(kNow) + 60) +
                     " -purpose sslclient -CAfile ca.pem leaf.pem"));
    CHECK_FALSE(folder.run("openssl verify -x509_strict -attime " +
                           std::to_string(sys::unix_seconds(kNow) + 86400 * 31) +
                           " -CAfile ca.pem leaf.pem"));
    CHECK(made.leaf.uri_sans() == std::vector<std::string>{"urn:pomona:A:1"});
    CHECK(made.leaf.signed_by(made.ca));
    CHECK_FALSE(made.ca.signed_by(made.leaf));
    CHECK(made.ca.self_signed());
    REQUIRE(folder.run("openssl x509 -in leaf.pem -noout -text"));
    std::string const digest = ca_key.kind_name() == "p-384" ? "SHA384" : "256";
    CHECK(folder.get("log").find(digest) != std::string::npos);
    CHECK_FALSE(made.leaf.self_signed());
  }
}

TEST_CASE("signing the same bytes with an RSA key gives the same certificate") {
  auto const ca_key = sys::Key::generate_rsa(2048);
  auto const ca = sys::issue(ca_template(), ca_key, std::nullopt, ca_key);
  auto const tbs = sys::build_tbs(leaf_template(), ca_key, ca, ca_key);
  CHECK(sys::sign_tbs(tbs, ca_key).der() == sys::sign_tbs(tbs, ca_key).der());
}

TEST_CASE("a chain is judged at the time that is given, or without dates") {
  auto const made = make_pair(sys::Key::generate_rsa(2048));
  auto const later = kNow + sys::seconds(86400 * 31);
  CHECK(sys::check_client_chain(made.leaf, {made.ca}, kNow).good);
  CHECK_FALSE(sys::check_client_chain(made.leaf, {made.ca}, later).good);
  CHECK(sys::check_client_chain(made.leaf, {made.ca}, std::nullopt).good);
  auto const other = make_pair(sys::Key::generate_rsa(2048));
  // The same names, another key.
  CHECK_FALSE(sys::check_client_chain(made.leaf, {other.ca}, kNow).good);
}

TEST_CASE("a CA certificate renewed with the same key still fits its leaves") {
  auto const made = make_pair(sys::Key::generate_rsa(2048));
  auto const renewed = sys::issue(ca_template(), made.ca_key, std::nullopt, made.ca_key);
  CHECK(sys::check_client_chain(made.leaf, {renewed}, kNow).good);
}

TEST_CASE("private keys are read in every usual form, and what is wrong is said") {
  Folder const folder;
  REQUIRE(
      folder.run("openssl genrsa -traditional -out pkcs1.pem 2048 && openssl pkcs8 -topk8 -nocrypt -in "
                 "pkcs1.pem -out pkcs8.pem && "
                 "openssl pkcs8 -topk8 -in pkcs1.pem -passout pass:apple -out encrypted.pem && "
                 "openssl rsa -in pkcs1.pem -traditional -des3 -passout pass:apple -out proc.pem && "
                 "openssl rsa -in pkcs1.pem -outform DER -out pkcs8.der && openssl ecparam -name prime256v1 "
                 "-genkey -noout -out ec.pem && "
                 "openssl req -x509 -key pkcs1.pem -subj /CN=x -out cert.pem"));
  auto const plain = sys::Key::read_private(folder.get("pkcs1.pem"));
  CHECK(plain.bits() == 2048);
  CHECK(plain.rsa_exponent() == 65537);
  CHECK(sys::Key::read_private(folder.get("pkcs8.pem")).same_public_key(plain));
  CHECK(sys::Key::read_private(folder.get("pkcs8.der")).same_public_key(plain));
  CHECK(
      sys::Key::read_private(folder.get("encrypted.pem"), sys::SecretBytes("apple")).same_public_key(plain));
  CHECK(sys::Key::read_private(folder.get("proc.pem"), sys::SecretBytes("apple")).same_public_key(plain));
  CHECK(sys::Key::read_private(folder.get("ec.pem")).is_ec());
  CHECK_THROWS_WITH(sys::Key::read_private(folder.get("encrypted.pem")),
                    Catch::Contains("give its pass phrase"));
  CHECK_THROWS_WITH(sys::Key::read_private(folder.get("encrypted.pem"), sys::SecretBytes("pear")),
                    Catch::Contains("does not open"));
  CHECK_THROWS_WITH(sys::Key::read_private(folder.get("cert.pem")), Catch::Contains("holds a certificate"));
  CHECK_THROWS_AS(sys::Key::read_private("nonsense"), sys::Error);
  CHECK_THROWS_AS(sys::Key::read_private(""), sys::Error);
}

TEST_CASE("a key that we write is read by openssl") {
  Folder const folder;
  folder.put("key.pem", sys::Key::generate_ec().private_pem().str());
  CHECK(folder.run("openssl pkey -in key.pem -check -noout"));
}

TEST_CASE("certificates are refused with junk behind them, and bundles are read whole") {
  auto const made = make_pair(sys::Key::generate_ec());
  CHECK_THROWS_AS(sys::Cert::from_der(made.leaf.der() + "x"), sys::Error);
  CHECK(sys::Cert::read_all(made.leaf.pem() + "text between\n" + made.ca.pem()).size() == 2);
  CHECK_THROWS_AS(sys::Cert::read_all("-----BEGIN NOTHING-----\n"), sys::Error);
  CHECK_THROWS_AS(sys::Cert::read(""), sys::Error);
}

TEST_CASE("a detached signature of openssl verifies in every form, and only over its own bytes") {
  auto const made = make_pair(sys::Key::generate_rsa(2048));
  Folder const folder;
  folder.put("key.pem", made.key.private_pem().str());
  folder.put("leaf.pem", made.leaf.pem());
  folder.put("body", "exact\r\nbytes");
  for (std::string const form : {"", "-noattr -md sha1", "-md sha512", "-nosmimecap"}) {
    INFO(form);
    REQUIRE(folder.run("openssl cms -sign -binary " + form +
                       " -in body -signer leaf.pem -inkey key.pem -outform DER -out s.der"));
    auto const verified = sys::verify_detached(folder.get("s.der"), "exact\r\nbytes");
    CHECK(verified.signer.sha256() == made.leaf.sha256());
    CHECK(verified.signed_attributes == (form.find("noattr") == std::string::npos));
    CHECK(verified.signing_time.has_value() == verified.signed_attributes);
    CHECK_THROWS_AS(sys::verify_detached(folder.get("s.der"), "exact\nbytes"), sys::Error);
    CHECK_THROWS_AS(sys::verify_detached(folder.get("s.der"), ""), sys::Error);
  }
}

TEST_CASE("a signature that is attached, by two signers, without certificate or with MD5 is refused") {
  auto const made = make_pair(sys::Key::generate_rsa(2048));
  Folder const folder;
  folder.put("key.pem", made.key.private_pem().str());
  folder.put("leaf.pem", made.leaf.pem());
  folder.put("body", "bytes");
  auto const second = make_pair(sys::Key::generate_rsa(2048));
  folder.put("second.pem", second.leaf.pem());
  folder.put("second.key", second.key.private_pem().str());
  for (std::string const form :
       {"-nodetach", "-signer second.pem -inkey second.key", "-nocerts", "-md md5"}) {
    INFO(form);
    REQUIRE(folder.run("openssl cms -sign -binary -in body -signer leaf.pem -inkey key.pem " + form +
                       " -outform DER -out s.der"));
    CHECK_THROWS_AS(sys::verify_detached(folder.get("s.der"), "bytes"), sys::Error);
  }
  CHECK_THROWS_AS(sys::verify_detached("", "bytes"), sys::Error);
  CHECK_THROWS_AS(sys::verify_detached(std::string(40'000, '0'), "bytes"), sys::Error);
}

TEST_CASE("openssl cms verifies what we sign and decrypts what we encrypt") {
  auto const made = make_pair(sys::Key::generate_rsa(2048));
  Folder const folder;
  folder.put("key.pem", made.key.private_pem().str());
  folder.put("leaf.pem", made.leaf.pem());
  folder.put("signed.der", sys::sign_attached("profile\n", made.leaf, made.key, {made.ca}));
  folder.put("encrypted.der", sys::encrypt_to("profile\n", made.leaf));
  REQUIRE(folder.run("openssl cms -verify -noverify -binary -inform DER -in signed.der -out plain"));
  CHECK(folder.get("plain") == "profile\n");
  REQUIRE(
      folder.run("openssl cms -decrypt -binary -inform DER -in encrypted.der -recip leaf.pem -inkey key.pem "
                 "-out plain"));
  CHECK(folder.get("plain") == "profile\n");
  std::string content;
  CHECK(sys::verify_attached(folder.get("signed.der"), content).signer.sha256() == made.leaf.sha256());
  CHECK(content == "profile\n");
}

TEST_CASE("The bytes of a certificate come out of PEM as they went in, without being understood") {
  auto const cert = make_pair(sys::Key::generate_ec()).ca;
  CHECK(sys::certificate_bytes(cert.pem()) == cert.der());
  CHECK(sys::certificate_bytes("before\n" + cert.pem() + cert.pem()) == cert.der());
  auto const block = [](std::string const& der) {
    return "-----BEGIN CERTIFICATE-----\n" + sys::base64(der) + "\n-----END CERTIFICATE-----\n";
  };
  auto const der = cert.der();
  for (auto const& wrong :
       {std::string(), der + 'x', der.substr(0, der.size() - 1), std::string("\x31\x00", 2),
        std::string("\x30\x80\x00\x00", 4), std::string("\x30\x89"), std::string("\x30")}) {
    CHECK_THROWS_AS(sys::certificate_bytes(block(wrong)), sys::Error);
  }
  CHECK_THROWS_AS(sys::certificate_bytes("-----BEGIN CERTIFICATE-----\n"), sys::Error);
  CHECK_THROWS_AS(sys::certificate_bytes(cert.pem().substr(30)), sys::Error);
}
