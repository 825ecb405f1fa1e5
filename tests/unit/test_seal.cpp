// Sealing: what was sealed for one row opens nowhere else, and nothing readable is left in it.
#include <catch2/catch.hpp>

#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/seal.hpp"
#include "sys/text.hpp"

namespace {

sys::SealKey key(std::string const& domain, char byte = 'k') {
  return sys::SealKey::from_master(domain, sys::SecretBytes(std::string(32, byte)));
}

}  // namespace

TEST_CASE("HKDF gives the output of RFC 5869, test case 3") {
  // Empty salt and info; the info parameter is empty there too.
  CHECK(sys::hex(sys::hkdf_sha256(std::string(22, '\x0b'), "", 42)) ==
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST_CASE("a sealed secret opens with its own key, id and purpose") {
  auto const push = key("push");
  auto const sealed = push.seal("push key", "secret bytes");
  CHECK(push.open(sealed, "push key").str() == "secret bytes");
  CHECK(sealed.body.find("secret") == std::string::npos);
}

TEST_CASE("a sealed secret does not open elsewhere") {
  auto const push = key("push");
  auto sealed = push.seal("push key", "secret bytes");
  CHECK_THROWS_AS(push.open(sealed, "another purpose"), sys::Error);
  CHECK_THROWS_AS(key("ca").open(sealed, "push key"), sys::Error);
  CHECK_THROWS_AS(key("push", 'x').open(sealed, "push key"), sys::Error);
  SECTION("under another id") {
    sealed.id[0] = static_cast<char>(sealed.id[0] ^ 1);
    CHECK_THROWS_AS(push.open(sealed, "push key"), sys::Error);
  }
  SECTION("with one altered bit") {
    sealed.body[3] = static_cast<char>(sealed.body[3] ^ 1);
    CHECK_THROWS_AS(push.open(sealed, "push key"), sys::Error);
  }
  SECTION("cut short") {
    sealed.body.resize(5);
    CHECK_THROWS_AS(push.open(sealed, "push key"), sys::Error);
  }
}

TEST_CASE("sealing the same value twice gives different rows") {
  auto const push = key("push");
  CHECK(push.seal("p", "v").body != push.seal("p", "v").body);
  CHECK(push.seal_column("p", "v") != push.seal_column("p", "v"));
}

TEST_CASE("a sealed column keeps its bytes and gets smaller when they repeat") {
  auto const message = key("message");
  std::string const body(100'000, 'a');
  std::string const sealed = message.seal_column("result:1:X", body);
  CHECK(sealed.size() < 2'000);
  CHECK(message.open_column(sealed, "result:1:X") == body);
  CHECK(message.open_column(message.seal_column("result:1:X", ""), "result:1:X").empty());
  CHECK_THROWS_AS(message.open_column(sealed, "result:2:X"), sys::Error);
  CHECK_THROWS_AS(message.open_column(sealed, "result:1:X", 1'000), sys::Error);
  CHECK_THROWS_AS(message.open_column(sealed.substr(0, 20), "result:1:X"), sys::Error);
  CHECK_THROWS_AS(message.open_column("", "result:1:X"), sys::Error);
}

TEST_CASE("a domain key must have 32 bytes") {
  CHECK_THROWS_AS(sys::SealKey("push", sys::SecretBytes("short")), sys::Error);
  CHECK_THROWS_AS(sys::SealKey::from_master("push", sys::SecretBytes("short")), sys::Error);
}

TEST_CASE("domains of one master do not share a key") { CHECK(key("push").key_id() != key("ca").key_id()); }

TEST_CASE("a column of any size comes back, one that deflates and one that does not") {
  auto const key = sys::SealKey::from_master("message", sys::SecretBytes(std::string(32, 'm')));
  for (std::size_t const size : {0U, 1U, 511U, 512U, 513U, 1500U, 32768U, 32769U, 300'000U}) {
    for (auto const& plain : {std::string(size, 'a'), sys::random_bytes(size)}) {
      auto const sealed = key.seal_column("result", plain);
      CHECK(key.open_column(sealed, "result") == plain);
    }
  }
  CHECK(key.seal_column("result", std::string(300'000, 'a')).size() < 5000);
}
