// What CertPoll and GetCert carry: names and serial numbers as strangers send them.
#include <catch2/catch.hpp>

#include "sys/error.hpp"
#include "sys/key.hpp"
#include "sys/scep_content.hpp"
#include "sys/text.hpp"
#include "sys/x509.hpp"

namespace {

// One RDN with a CN of this string type.
std::string name_of(std::string const& text, char type = 0x0c) {
  std::string const value = std::string{type, static_cast<char>(text.size())} + text;
  std::string const pair = "\x06\x03\x55\x04\x03" + value;
  auto const wrap = [](char tag, std::string const& inner) {
    return std::string{tag, static_cast<char>(inner.size())} + inner;
  };
  return wrap(0x30, wrap(0x31, wrap(0x30, pair)));
}

std::string sequence(std::string const& inner) {
  return std::string{0x30, static_cast<char>(inner.size())} + inner;
}

std::string integer(std::string const& bytes) {
  return std::string{0x02, static_cast<char>(bytes.size())} + bytes;
}

}  // namespace

TEST_CASE("issuer and subject are read as they were sent") {
  auto const content = sys::read_issuer_and_subject(sequence(name_of("CA") + name_of("device")));
  CHECK(content.issuer_der == name_of("CA"));
  CHECK(content.subject_der == name_of("device"));
}

TEST_CASE("issuer and serial number are read, the number without leading zeros") {
  auto const content =
      sys::read_issuer_and_serial(sequence(name_of("CA") + integer(std::string("\x00\x80\x01", 3))));
  CHECK(content.issuer_der == name_of("CA"));
  CHECK(content.serial == "\x80\x01");
}

TEST_CASE("what is not exactly two names, or a name and a number, is refused") {
  std::string const names = name_of("CA") + name_of("x");
  std::string const serial = name_of("CA") + integer("\x01");
  for (auto const& bad :
       {std::string(), std::string("junk"), names, sequence(names) + '\0', sequence(names + names),
        sequence(name_of("CA")), sequence(serial), sequence(""), sequence("\x30\x80" + names),
        std::string("\x30\x80") + names + std::string(2, '\0'), sequence(names).substr(0, 20)}) {
    CAPTURE(sys::hex(bad));
    CHECK_THROWS_AS(sys::read_issuer_and_subject(bad), sys::Error);
  }
  for (auto const& bad :
       {std::string(), std::string("junk"), serial, sequence(serial) + '\0', sequence(serial + serial),
        sequence(name_of("CA")), sequence(names), sequence(name_of("CA") + integer("\xff")),
        sequence(integer("\x01") + name_of("CA")), sequence(name_of("CA") + integer(""))}) {
    CAPTURE(sys::hex(bad));
    CHECK_THROWS_AS(sys::read_issuer_and_serial(bad), sys::Error);
  }
}

TEST_CASE("two names are the same whatever the string type, the case and runs of spaces") {
  CHECK(sys::same_name(name_of("Device  CA"), name_of("device ca", 0x13)));
  CHECK_FALSE(sys::same_name(name_of("Device CA"), name_of("Device CB")));
  CHECK_FALSE(sys::same_name(name_of("Device CA"), "junk"));
  CHECK_FALSE(sys::same_name("", ""));
  CHECK_FALSE(sys::same_name(name_of("x"), name_of("x") + '\0'));
}

TEST_CASE("a certificate's issuer has the bytes of its CA's subject") {
  auto const key = sys::Key::generate_rsa(2048);
  sys::CertTemplate wanted;
  wanted.subject = {{"O", "Org"}, {"CN", "CA"}};
  wanted.serial = "\x01";
  wanted.not_before = sys::from_unix(1'700'000'000);
  wanted.not_after = sys::from_unix(2'000'000'000);
  auto const ca = sys::issue(wanted, key, std::nullopt, key);
  wanted.subject = {{"CN", "leaf"}};
  auto const leaf = sys::issue(wanted, key, ca, key);
  CHECK(leaf.issuer_der() == ca.subject_der());
  CHECK(leaf.issuer_der() != leaf.subject_der());
}
