// Certification requests and SCEP messages, with keys and requests made by the openssl command.
#include <catch2/catch.hpp>

#include "folder.hpp"
#include "sys/cms_scep.hpp"
#include "sys/csr.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/legacy_context.hpp"
#include "sys/text.hpp"

namespace {

constexpr char const* kConfig =
    "[req]\nprompt=no\ndistinguished_name=n\nattributes=a\n[n]\nCN=dev "
    "1\n[a]\nchallengePassword=SECRET1234\n";

sys::Csr make_csr(Folder const& folder, std::string const& key_options, std::string const& options) {
  folder.put("c.cnf", kConfig);
  REQUIRE(folder.run("openssl genpkey -algorithm " + key_options + " -out k.pem"));
  REQUIRE(folder.run("openssl req -new -config c.cnf -key k.pem -outform DER -out r.der " + options));
  return sys::Csr::from_der(folder.get("r.der"));
}

struct Party {
  sys::Cert cert;
  sys::Key key;
};

Party make_party(std::string const& name) {
  auto key = sys::Key::generate_rsa(2048);
  sys::CertTemplate wanted;
  wanted.subject = {{"CN", name}};
  wanted.serial = sys::random_serial();
  wanted.not_before = sys::from_unix(1'700'000'000);
  wanted.not_after = sys::from_unix(2'000'000'000);
  wanted.key_usage = sys::kDigitalSignature | sys::kKeyEncipherment;
  return {sys::issue(wanted, key, std::nullopt, key), key};
}

std::string success(Party const& from, Party const& to, sys::ScepCipher cipher = sys::ScepCipher::aes256) {
  return sys::scep_success({from.cert, from.key, "T1", "0123456789abcdef"}, to.cert, to.cert, cipher);
}

}  // namespace

TEST_CASE("a certification request gives its key, its challenge and its proof") {
  Folder const folder;
  auto const csr = make_csr(folder, "RSA -pkeyopt rsa_keygen_bits:2048", "-sha256");
  CHECK(csr.subject() == "CN=dev 1");
  CHECK(csr.challenge().view() == "SECRET1234");
  CHECK_FALSE(csr.weakness().has_value());
  CHECK(csr.verify());
  CHECK(csr.public_key().same_public_key(sys::Key::read_private(folder.get("k.pem"))));
  auto bytes = folder.get("r.der");
  CHECK_THROWS_AS(sys::Csr::from_der(bytes + '\0'), sys::Error);
  CHECK_THROWS_AS(sys::Csr::from_der(bytes.substr(0, bytes.size() - 1)), sys::Error);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  CHECK_FALSE(sys::Csr::from_der(bytes).verify());
  REQUIRE(folder.run("openssl req -inform DER -in r.der -out r.pem"));
  CHECK(sys::Csr::read(folder.get("r.pem")).verify());
}

TEST_CASE("keys and signatures below the floor are told") {
  Folder const folder;
  auto const rsa = [](std::string const& bits) { return "RSA -pkeyopt rsa_keygen_bits:" + bits; };
  CHECK(make_csr(folder, rsa("1024"), "-sha256").weakness() ==
        "certification request for RSA key of 1024 bits");
  CHECK(make_csr(folder, rsa("2048"), "-sha1").weakness().value().find("SHA1") != std::string::npos);
  CHECK(make_csr(folder, rsa("2048"), "-md5").weakness().value().find("MD5") != std::string::npos);
  CHECK(make_csr(folder, rsa("2048") + " -pkeyopt rsa_keygen_pubexp:3", "-sha256").weakness().has_value());
  CHECK(make_csr(folder, "EC -pkeyopt ec_paramgen_curve:P-256", "-sha256").weakness().has_value());
  CHECK(make_csr(folder, "ED25519", "").weakness().has_value());
}

TEST_CASE("SHA-1 in a certification request is taken where old algorithms are allowed, MD5 never") {
  Folder const folder;
  std::string const rsa = "RSA -pkeyopt rsa_keygen_bits:2048";
  auto const old = make_csr(folder, rsa, "-sha1");
  CHECK_FALSE(old.weakness(sys::OldAlgorithms::allowed).has_value());
  CHECK(old.is_signed_with_sha1());
  CHECK(old.verify());
  CHECK(make_csr(folder, rsa, "-md5").weakness(sys::OldAlgorithms::allowed).has_value());
  CHECK_FALSE(make_csr(folder, rsa, "-sha256").is_signed_with_sha1());
}

TEST_CASE("PSS is good with one good digest for content and mask") {
  Folder const folder;
  std::string const rsa = "RSA -pkeyopt rsa_keygen_bits:2048";
  std::string const pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest ";
  CHECK_FALSE(make_csr(folder, rsa, pss + "-sha256").weakness().has_value());
  CHECK_FALSE(make_csr(folder, rsa, pss + "-sha512").weakness().has_value());
  CHECK(make_csr(folder, rsa, pss + "-sha1").weakness().has_value());
  CHECK(make_csr(folder, rsa, pss + "-sha256 -sigopt rsa_mgf1_md:sha1").weakness().has_value());
}

TEST_CASE("single DES is known in a context of its own and nowhere else") {
  using Cipher = sys::ossl::Handle<EVP_CIPHER, EVP_CIPHER_free>;
  sys::LegacyContext const legacy;
  CHECK(Cipher(EVP_CIPHER_fetch(legacy.raw(), "DES-CBC", nullptr)) != nullptr);
  CHECK(Cipher(EVP_CIPHER_fetch(legacy.raw(), "AES-128-CBC", nullptr)) != nullptr);
  CHECK(Cipher(EVP_CIPHER_fetch(nullptr, "DES-CBC", nullptr)) == nullptr);
  sys::ossl::take_errors();
}

TEST_CASE("a reply is a message that its recipient opens, and nobody else") {
  auto const ra = make_party("RA");
  auto const device = make_party("device");
  auto const stranger = make_party("stranger");
  for (auto const cipher : {sys::ScepCipher::aes128, sys::ScepCipher::aes192, sys::ScepCipher::aes256}) {
    auto message = sys::ScepMessage::parse(success(ra, device, cipher));
    CHECK(message.message_type() == "3");
    CHECK(message.transaction_id() == "T1");
    CHECK(message.sender_nonce().size() == 16);
    REQUIRE_FALSE(message.check().has_value());
    CHECK(message.is_for({{device.cert, device.key}}));
    CHECK_FALSE(message.is_for({{stranger.cert, stranger.key}}));
    auto const opened = message.open({{stranger.cert, stranger.key}, {device.cert, device.key}});
    REQUIRE(std::holds_alternative<sys::ScepContent>(opened));
    auto const& content = std::get<sys::ScepContent>(opened);
    CHECK(content.cipher == cipher);
    CHECK(content.signer.der() == ra.cert.der());
    CHECK(content.plain.view() == sys::certs_only({device.cert}));
    auto const failed = message.open({{stranger.cert, stranger.key}});
    REQUIRE(std::holds_alternative<sys::ScepProblem>(failed));
    CHECK(std::get<sys::ScepProblem>(failed).fault == sys::ScepFault::unreadable);
  }
}

TEST_CASE("a changed bit of the content is found by the outer signature") {
  auto const ra = make_party("RA");
  auto bytes = success(ra, ra);
  auto const at = bytes.find(sys::Cert::from_der(ra.cert.der()).serial()) - 40;
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  auto message = sys::ScepMessage::parse(bytes);
  auto const problem = message.check();
  CHECK(problem.value().fault != sys::ScepFault::unreadable);
}

TEST_CASE("a failure is signed, has a content of zero length, and openssl verifies it") {
  Folder const folder;
  auto const ra = make_party("RA");
  folder.put("f.der", sys::scep_failure({ra.cert, ra.key, "T1", "0123456789abcdef"}, "2", "no"));
  folder.put("ra.pem", ra.cert.pem());
  REQUIRE(
      folder.run("openssl cms -verify -inform DER -noverify -in f.der -binary -signer s.pem -out content"));
  CHECK(folder.get("content").empty());
  CHECK(folder.get("s.pem") == ra.cert.pem());
  REQUIRE(folder.run("openssl asn1parse -inform DER -in f.der"));
  auto const tree = folder.get("log");
  CHECK(tree.find("OCTET STRING      \n") != std::string::npos);  // the eContent
  CHECK(tree.find("UTF8STRING        :no") != std::string::npos);
  CHECK(tree.find("contentType") != std::string::npos);
}

TEST_CASE("a certs-only message keeps the order and leaves the content out") {
  Folder const folder;
  auto const first = make_party("a rather longer name than the second one");
  auto const second = make_party("b");
  for (auto const& [one, other] : {std::pair{first, second}, std::pair{second, first}}) {
    folder.put("c.der", sys::certs_only({one.cert, other.cert}));
    REQUIRE(folder.run("openssl pkcs7 -inform DER -in c.der -print_certs -noout"));
    auto const printed = folder.get("log");
    auto const at = [&](Party const& party) {
      return printed.find("subject=CN = " + party.cert.subject().substr(3));
    };
    CHECK(at(one) < at(other));
    REQUIRE(folder.run("openssl asn1parse -inform DER -in c.der"));
    CHECK(folder.get("log").find("OCTET STRING      [HEX DUMP]:\n") == std::string::npos);
  }
}

TEST_CASE("what is no message with one signer is a bad request") {
  auto const ra = make_party("RA");
  auto const good = success(ra, ra);
  for (auto const& bad : {std::string(), std::string("junk"), good.substr(0, good.size() - 1), good + '\0',
                          sys::certs_only({ra.cert}), ra.cert.der()}) {
    CHECK_THROWS_AS(sys::ScepMessage::parse(bad), sys::Error);
  }
}
