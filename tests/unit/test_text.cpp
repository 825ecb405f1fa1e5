#include <set>

#include <catch2/catch.hpp>

#include "sys/bytes.hpp"
#include "sys/text.hpp"

namespace {

std::string every_byte() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

}  // namespace

TEST_CASE("Hex is written in lower case and read in both") {
  CHECK(sys::hex(std::string("\x00\xff\x1a", 3)) == "00ff1a");
  CHECK(sys::unhex("00FF1a") == std::string("\x00\xff\x1a", 3));
  CHECK(sys::unhex("").value() == "");
  CHECK_FALSE(sys::unhex("0"));
  CHECK_FALSE(sys::unhex("0g"));
  CHECK_FALSE(sys::unhex("0x00"));
  CHECK(sys::unhex(sys::hex(every_byte())) == every_byte());
}

TEST_CASE("Base64 agrees with RFC 4648 section 10") {
  std::vector<std::pair<std::string, std::string>> const vectors{
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  };
  for (auto const& [bytes, text] : vectors) {
    CHECK(sys::base64(bytes) == text);
    CHECK(sys::unbase64(text) == bytes);
  }
  CHECK(sys::unbase64(sys::base64(every_byte())) == every_byte());
}

TEST_CASE("Base64 is read with line breaks and without padding, and nothing else is guessed") {
  CHECK(sys::unbase64(" Zm9v\r\n\tYmFy\n") == "foobar");
  CHECK(sys::unbase64("Zm8") == "fo");
  CHECK(sys::unbase64("Zg") == "f");
  for (auto const* text :
       {"Z", "Zg=", "Zg===", "Zm9v=", "Z=g=", "Zm9v!", "Zg==Zg==", "Zh==", "Zm9-", "=", "===="}) {
    CAPTURE(text);
    CHECK_FALSE(sys::unbase64(text));
  }
}

TEST_CASE("Base32 agrees with RFC 4648 section 10 without its padding") {
  CHECK(sys::base32("") == "");
  CHECK(sys::base32("f") == "MY");
  CHECK(sys::base32("fo") == "MZXQ");
  CHECK(sys::base32("foo") == "MZXW6");
  CHECK(sys::base32("foob") == "MZXW6YQ");
  CHECK(sys::base32("fooba") == "MZXW6YTB");
  CHECK(sys::base32("foobar") == "MZXW6YTBOI");
}

TEST_CASE("Percent-decoding leaves a plus sign alone, as base64 in a URL needs") {
  CHECK(sys::percent_decode("a%2Bb+c%20%0a") == "a+b+c \n");
  CHECK(sys::percent_decode("-----BEGIN%20CERTIFICATE-----%0AMII") == "-----BEGIN CERTIFICATE-----\nMII");
  for (auto const* text : {"%", "%2", "%2g", "a%", "%%20"}) {
    CAPTURE(text);
    CHECK_FALSE(sys::percent_decode(text));
  }
  CHECK(sys::percent_encode("a b/ü~") == "a%20b%2F%C3%BC~");
  CHECK(sys::percent_decode(sys::percent_encode(every_byte())) == every_byte());
}

TEST_CASE("Random values differ and UUIDs have Apple's form") {
  CHECK(sys::random_bytes(20).size() == 20);
  CHECK(sys::random_bytes(0).empty());
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(sys::random_uuid());
  CHECK(seen.size() == 100);
  std::string const uuid = *seen.begin();
  CHECK(uuid.size() == 36);
  CHECK(uuid == sys::to_upper(uuid));
  CHECK(uuid[14] == '4');
  CHECK(std::string("89AB").find(uuid[19]) != std::string::npos);
  CHECK(uuid.find_first_not_of("0123456789ABCDEF-") == std::string::npos);
}

TEST_CASE("Text is trimmed, split and folded in ASCII") {
  CHECK(sys::trim(" \t\r\n a b \n") == "a b");
  CHECK(sys::trim(" ") == "");
  CHECK(sys::split("a,,b,", ',') == std::vector<std::string_view>{"a", "", "b", ""});
  CHECK(sys::split("", ',') == std::vector<std::string_view>{""});
  CHECK(sys::to_lower("AZaz09") == "azaz09");
  CHECK(sys::to_lower("\xc3\x84") == "\xc3\x84");
}

TEST_CASE("Only well-formed UTF-8 counts as UTF-8") {
  for (auto const* text :
       {"", "ascii", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8d\x8e", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"}) {
    CAPTURE(sys::hex(text));
    CHECK(sys::is_utf8(text));
  }
  for (auto const* text : {"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
                           "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
                           "\xe2\x82", "\xe2\x28\xa1", "a\xc3(", "\xf0\x9f\x8d"}) {
    CAPTURE(sys::hex(text));
    CHECK_FALSE(sys::is_utf8(text));
  }
}

TEST_CASE("Escaped text stays on its line") {
  CHECK(sys::escape_controls("a\nb\"c\\d\x1b[0m\x7f") == "a\\nb\\\"c\\\\d\\x1b[0m\\x7f");
  CHECK(sys::escape_controls(std::string("\0", 1)) == "\\x00");
  CHECK(sys::escape_controls("ü") == "ü");
}

TEST_CASE("Integers are read whole or not at all") {
  CHECK(sys::parse_integer("0") == 0);
  CHECK(sys::parse_integer("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
  for (auto const* text : {"", " 1", "1 ", "+1", "1.0", "0x1", "9223372036854775808", "one"}) {
    CAPTURE(text);
    CHECK_FALSE(sys::parse_integer(text));
  }
}

TEST_CASE("Secrets are compared whole and emptied when they move") {
  CHECK(sys::equal_constant_time("abc", "abc"));
  CHECK_FALSE(sys::equal_constant_time("abc", "abd"));
  CHECK_FALSE(sys::equal_constant_time("abc", "ab"));
  CHECK(sys::equal_constant_time("", ""));
  sys::SecretBytes first("secret");
  sys::SecretBytes const second(std::move(first));
  CHECK(second.view() == "secret");
  CHECK(first.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
}
