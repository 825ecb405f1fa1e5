#include <ctime>

#include <catch2/catch.hpp>
#include <sys/resource.h>

#include "sys/error.hpp"
#include "sys/plist.hpp"

namespace {

constexpr std::size_t kMegabyte = 1U << 20U;

std::string in_plist(std::string const& element) { return "<plist version=\"1.0\">" + element + "</plist>"; }

std::string repeat(std::string_view text, std::size_t count) {
  std::string out;
  out.reserve(text.size() * count);
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

std::string refusal(std::string const& xml) {
  sys::TopStrings top;
  try {
    sys::check_plist(xml, {}, top);
  } catch (sys::Error const& error) {
    CHECK(error.fault() == sys::Fault::bad_request);
    CHECK_THROWS_AS(sys::read_plist(xml), sys::Error);
    return error.what();
  }
  return "accepted";
}

std::string why(std::string const& element) { return refusal(in_plist(element)); }

// Refused within 100 ms of processor time and 64 MB; sanitizers slow us down and hold memory back.
void check_bomb(std::string const& xml) {
  auto const processor_ms = [] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
  };
  auto const resident_kb = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  auto const memory = resident_kb();
  auto const start = processor_ms();
  CHECK_THROWS_AS(sys::read_plist(xml), sys::Error);
  auto const spent = processor_ms() - start;
#ifdef __SANITIZE_ADDRESS__
  CHECK(spent < 2000);
#else
  CHECK(spent < 300);  // unoptimised builds and busy machines; the release build needs under 100
  CHECK(resident_kb() - memory < 64 * 1024);
#endif
  static_cast<void>(memory);
}

// Keys that all fall into one of libplist's 4096 hash chains: "aB" and "b!" have the same hash, and so has
// every string made of them.
std::string colliding_dict(std::size_t bits) {
  std::string dict = "<dict>";
  for (std::size_t number = 0; number < (1U << bits); ++number) {
    dict += "<key>";
    for (std::size_t bit = 0; bit < bits; ++bit) dict += ((number >> bit) & 1U) != 0 ? "aB" : "b!";
    dict += "</key><true/>";
  }
  return dict + "</dict>";
}

std::string dict_of_keys(std::size_t count) {
  std::string dict = "<dict>";
  for (std::size_t i = 0; i < count; ++i) dict += "<key>k" + std::to_string(i) + "</key><true/>";
  return dict + "</dict>";
}

}  // namespace

TEST_CASE("Nesting bombs are refused at once") {
  check_bomb(in_plist(repeat("<array>", 10'000) + repeat("</array>", 10'000)));
  check_bomb(in_plist(repeat("<array>", 500'000) + repeat("</array>", 500'000)));
  check_bomb(in_plist(repeat("<dict><key>a</key>", 400'000)));
  CHECK(why(repeat("<array>", 65) + repeat("</array>", 65)) == "property list: nested deeper than 64");
  CHECK(why(repeat("<array>", 64) + "<true/>" + repeat("</array>", 64)) == "accepted");
}

TEST_CASE("Entity bombs are refused at once") {
  auto const string = [](std::size_t references, std::size_t plain) {
    return "<string>" + repeat("&lt;", references) + std::string(plain, 'x') + "</string>";
  };
  check_bomb(in_plist(string(64 * 1024, 0)));
  check_bomb(in_plist(string(1024 * 1024, 0)));
  check_bomb(in_plist(string(20'000, 15 * kMegabyte)));
  check_bomb(in_plist(string(2'000, 15 * kMegabyte)));
  check_bomb(in_plist("<array>" + repeat(string(20'000, 0), 209) + "</array>"));
  check_bomb("<!DOCTYPE plist [<!ENTITY a \"b\">]>" + in_plist("<string>x</string>"));
  CHECK(why(string(20'001, 0)).find("more than 20000 character references") != std::string::npos);
  CHECK(why(string(20'000, 0)) == "accepted");
  CHECK(why("<dict><key>" + repeat("&lt;", 20'001) + "</key><true/></dict>") != "accepted");
}

TEST_CASE("Bombs of many elements, many keys and many bytes are refused at once") {
  check_bomb(in_plist("<array>" + repeat("<true/>", 300'000) + "</array>"));
  check_bomb(in_plist(dict_of_keys(200'000)));
  check_bomb(in_plist(dict_of_keys(25'001)));
  check_bomb(in_plist("<string>" + std::string(16 * kMegabyte, 'x') + "</string>"));
  CHECK(why("<array>" + repeat("<true/>", 299'999) + "</array>") == "accepted");
  CHECK(why(dict_of_keys(25'000)) == "accepted");
  CHECK(why(dict_of_keys(25'001)) == "property list: more than 25000 keys in one dict");
}

TEST_CASE("Keys aimed at libplist's hash table are refused at once") {
  check_bomb(in_plist(colliding_dict(12)));
  CHECK(why(colliding_dict(12)) == "property list: keys chosen to collide");
  CHECK(why(colliding_dict(3)) == "accepted");
}

TEST_CASE("Binary property lists never reach libplist") {
  CHECK(refusal(std::string("bplist00\xa1\x01\xa1\x02", 12)).find("binary form") != std::string::npos);
  CHECK(refusal(" bplist00") != "accepted");
}

TEST_CASE("What could hide a tag from the gate is refused") {
  CHECK(why("<dict><!-- <array> --></dict>") != "accepted");
  CHECK(why("<array><!-- x --><true/></array>") != "accepted");
  CHECK(why("<array><?x?><true/></array>") != "accepted");
  CHECK(why("<string><![CDATA[<array>]]></string>") != "accepted");
  CHECK(why("<array><?x <array> ?></array>") != "accepted");
  CHECK(refusal("<!-- x -->" + in_plist("<true/>")) != "accepted");
  CHECK(refusal(in_plist("<true/>") + "<!-- x -->") != "accepted");
  CHECK(refusal("<?xml version=\"1.0\"?><?other x?>" + in_plist("<true/>")) != "accepted");
  CHECK(why("<string id=\"1\">x</string>") != "accepted");
  CHECK(refusal("<plist version=\"1.0\" x=\">\"><true/></plist>") != "accepted");
}

TEST_CASE("Only the document type of property lists passes") {
  std::string const body = in_plist("<true/>");
  std::string const apple =
      "\"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\"";
  CHECK(refusal("<!DOCTYPE plist PUBLIC " + apple + ">" + body) == "accepted");
  CHECK(refusal("<!DOCTYPE plist PUBLIC " + apple + " []>" + body) != "accepted");
  CHECK(refusal("<!DOCTYPE plist PUBLIC " + apple + " [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>" + body) !=
        "accepted");
  CHECK(refusal("<!DOCTYPE html>" + body) != "accepted");
  CHECK(refusal("<!DOCTYPE plist SYSTEM \"x\">" + body) != "accepted");
}

TEST_CASE("Only UTF-8 without NUL passes") {
  CHECK(why("<string>\xc3\xa9</string>") == "accepted");
  CHECK(why("<string>\xc3</string>") == "property list: not UTF-8");
  CHECK(why("<string>\xed\xa0\x80</string>") == "property list: not UTF-8");
  CHECK(why(std::string("<string>a\0b</string>", 20)) == "property list: a NUL byte");
  CHECK(refusal("<?xml version=\"1.0\" encoding=\"UTF-16\"?>" + in_plist("<true/>")) != "accepted");
  CHECK(refusal("<?xml version=\"1.0\" encoding=\"utf-8\"?>" + in_plist("<true/>")) == "accepted");
}

TEST_CASE("A structure that is not a property list is refused") {
  CHECK(refusal("") != "accepted");
  CHECK(refusal("<plist version=\"1.0\">") != "accepted");
  CHECK(refusal("<plistversion=\"1.0\"><true/></plist>") != "accepted");  // found by fuzzing
  CHECK(refusal("<dict/>") != "accepted");
  CHECK(refusal(in_plist("<true/>") + "x") != "accepted");
  CHECK(refusal(in_plist("<true/>") + "\n") == "accepted");
  CHECK(why("") != "accepted");
  CHECK(why("<true/><true/>") != "accepted");
  CHECK(why("<key>a</key>") != "accepted");
  CHECK(why("<dict><true/></dict>") != "accepted");
  CHECK(why("<dict><key>a</key></dict>") != "accepted");
  CHECK(why("<dict><key>a</key><key>b</key></dict>") != "accepted");
  CHECK(why("<dict><key/><true/></dict>") != "accepted");
  CHECK(why("<array><key>a</key></array>") != "accepted");
  CHECK(why("<array></dict>") != "accepted");
  CHECK(why("<array><string>x</array></string>") != "accepted");
  CHECK(why("<uid>1</uid>") != "accepted");
  CHECK(why("<plist><true/></plist>") != "accepted");
  CHECK(why("<array>text</array>") != "accepted");
}

TEST_CASE("A leaf that is not what it claims to be is refused instead of guessed") {
  for (auto const* text :
       {"", "x", "1x", "010", "9223372036854775808", "-9223372036854775809", "0x", "1.0", "- 1"}) {
    CAPTURE(text);
    CHECK(why(std::string("<integer>") + text + "</integer>") != "accepted");
  }
  for (auto const* text : {"", "x", "1,5", "0x1p3", "1e999", "+-1", "infinit"}) {
    CAPTURE(text);
    CHECK(why(std::string("<real>") + text + "</real>") != "accepted");
  }
  for (auto const* text :
       {"", "2027-13-01T00:00:00Z", "2027-03-01", "2027-03-01T10:00:00", "2027-03-01T10:00:00ZZ"}) {
    CAPTURE(text);
    CHECK(why(std::string("<date>") + text + "</date>") != "accepted");
  }
  for (auto const* text : {"A", "AA", "AA=", "AA==AA==", "A*==", "A===", "====", "AAAA=", "AA=A"}) {
    CAPTURE(text);
    CHECK(why(std::string("<data>") + text + "</data>") != "accepted");
  }
  for (auto const* text : {"&", "&;", "&nbsp;", "&ampx;", "&#0;", "&#xD800;", "&#1;", "&#x110000;",
                           "&#00000065;", "&#+65;", "a&"}) {
    CAPTURE(text);
    CHECK(why(std::string("<string>") + text + "</string>") != "accepted");
  }
  CHECK(why("<true>x</true>") != "accepted");
}

TEST_CASE("A key twice in one dict is refused, however it is spelt, and nothing of the sender is believed") {
  CHECK(why("<dict><key>a</key><true/><key>a</key><true/></dict>") ==
        "property list: a key twice in one dict");
  CHECK(why("<dict><key>a</key><true/><key>&#97;</key><true/></dict>") != "accepted");
  CHECK(why("<array><dict><key>a</key><true/><key>a</key><true/></dict></array>") != "accepted");
  sys::TopStrings top;
  CHECK_THROWS_AS(sys::check_plist(in_plist("<dict><key>UDID</key><string>A</string>"
                                            "<key>UDID</key><string>B</string></dict>"),
                                   {}, top),
                  sys::Error);
  CHECK(top.empty());
}

TEST_CASE("The top-level strings of a report are known although its tree is refused") {
  std::string const start = "<dict><key>CommandUUID</key><string>c&#45;1</string><key>QueryResponses</key>";
  std::string const end =
      "<key>Status</key><string>Acknowledged</string><key>UDID</key><string>u</string></dict>";
  sys::TopStrings const expected{{"CommandUUID", "c-1"}, {"Status", "Acknowledged"}, {"UDID", "u"}};
  for (std::string const& middle :
       {repeat("<array>", 100) + "<string>x</string>" + repeat("</array>", 100),
        std::string("<string>\xff</string>"), "<array>" + repeat("<true/>", 300'001) + "</array>",
        dict_of_keys(25'001), std::string("<integer>x</integer>"),
        "<string>" + repeat("&lt;", 30'000) + "</string>",
        "<data>" + std::string(17 * kMegabyte, 'A') + "</data>"}) {
    sys::TopStrings top;
    CHECK_THROWS_AS(sys::check_plist(in_plist(start + middle + end), {}, top), sys::Error);
    CHECK(top == expected);
  }
}

TEST_CASE("The top-level strings are known as far as a truncated body goes") {
  sys::TopStrings top;
  CHECK_THROWS_AS(
      sys::check_plist("<plist><dict><key>UDID</key><string>u</string><key>Big</key><data>AAA", {}, top),
      sys::Error);
  CHECK(top == sys::TopStrings{{"UDID", "u"}});
}

TEST_CASE("Only strings of the top-level dict count as top-level strings") {
  sys::TopStrings top;
  sys::check_plist(
      in_plist("<dict><key>a</key><dict><key>UDID</key><string>inner</string></dict><key>b</key><array>"
               "<string>x</string></array><key>c</key><integer>1</integer><key>long</key><string>" +
               std::string(4097, 'x') + "</string><key>e</key><string/></dict>"),
      {}, top);
  CHECK(top == sys::TopStrings{{"e", ""}});
  sys::check_plist(in_plist("<array><string>x</string></array>"), {}, top);
  CHECK(top.empty());
}
