#include <cmath>

#include <catch2/catch.hpp>

#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/plist.hpp"

using sys::Plist;
using sys::PlistArray;
using sys::PlistData;
using sys::PlistDict;
using sys::read_plist;
using sys::write_plist;

namespace {

std::string golden(std::string const& name) {
  return sys::read_file(std::string(POMONA_TEST_DATA) + "/plist/" + name + ".plist");
}

std::string counting_bytes(std::size_t count) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

Plist scalars() {
  return PlistDict{
      {"string", "Küche & <Bad> \"x\" 'y' \xf0\x9f\x8d\x8e"},
      {"empty", ""},
      {"two lines", "one\ntwo\tthree"},
      {"zero", 0},
      {"negative", -42},
      {"largest", std::numeric_limits<std::int64_t>::max()},
      {"smallest", std::numeric_limits<std::int64_t>::min()},
      {"half", 0.5},
      {"minus", -1.25},
      {"yes", true},
      {"no", false},
      {"date", *sys::parse_iso_time("2027-03-01T10:00:00Z")},
      {"distant past", *sys::parse_iso_time("0001-01-01T00:00:00Z")},
      {"distant future", *sys::parse_iso_time("4001-01-01T00:00:00Z")},
  };
}

Plist containers() {
  return PlistDict{
      {"empty dict", PlistDict{}},
      {"empty array", PlistArray{}},
      {"mixed", PlistArray{1, "two", PlistArray{3, PlistArray{}}, PlistDict{{"four", 4}}}},
      {"a & b", PlistDict{{"<key>", "value"}}},
  };
}

Plist data() {
  Plist deep = PlistData{counting_bytes(64)};
  for (int i = 0; i < 9; ++i) {
    PlistArray around;
    around.push_back(std::move(deep));
    deep = Plist(std::move(around));
  }
  return PlistDict{
      {"none", PlistData{}},
      {"one", PlistData{counting_bytes(1)}},
      {"line", PlistData{counting_bytes(51)}},
      {"more", PlistData{counting_bytes(256)}},
      {"deep", deep},
  };
}

std::string in_plist(std::string const& element) { return "<plist version=\"1.0\">" + element + "</plist>"; }

}  // namespace

TEST_CASE("A written property list is byte for byte what Python's plistlib writes") {
  CHECK(write_plist(scalars()) == golden("scalars"));
  CHECK(write_plist(containers()) == golden("containers"));
  CHECK(write_plist(data()) == golden("data"));
  CHECK(write_plist(PlistArray{"a", "b"}) == golden("array_root"));
  CHECK(write_plist("alone") == golden("string_root"));
}

TEST_CASE("A property list of Python's plistlib is read to the same tree") {
  CHECK(read_plist(golden("scalars")) == scalars());
  CHECK(read_plist(golden("containers")) == containers());
  CHECK(read_plist(golden("data")) == data());
  CHECK(read_plist(golden("array_root")) == Plist(PlistArray{"a", "b"}));
  CHECK(read_plist(golden("string_root")) == Plist("alone"));
}

TEST_CASE("Members of a dict are found by name and type") {
  Plist const tree = read_plist(golden("scalars"));
  CHECK(tree.find_string("two lines") == "one\ntwo\tthree");
  CHECK(tree.find_bool("yes") == true);
  CHECK(tree.find_bool("no") == false);
  CHECK_FALSE(tree.find_string("yes"));
  CHECK_FALSE(tree.find_bool("absent"));
  CHECK_FALSE(tree.find_data("string"));
  REQUIRE(tree.find("negative") != nullptr);
  CHECK(*tree.find("negative")->integer() == -42);
  CHECK(*tree.find("half")->real() == 0.5);
  CHECK(Plist("text").find("x") == nullptr);
  CHECK(read_plist(golden("data")).find_data("none") == "");
}

TEST_CASE("Setting a member adds it once and replaces it afterwards") {
  Plist tree;
  tree.set("MessageType", "Authenticate");
  tree.set("Count", 1);
  tree.set("MessageType", "CheckOut");
  CHECK(tree == Plist(PlistDict{{"MessageType", "CheckOut"}, {"Count", 1}}));
  Plist text("no dict");
  CHECK_THROWS_AS(text.set("key", 1), sys::Error);
}

TEST_CASE("Dates before 1933 and after 2068 survive reading") {
  auto const tree =
      read_plist(in_plist("<array><date>0001-01-01T00:00:00Z</date><string>x</string>"
                          "<dict><key>a</key><date>2038-01-19T03:14:08Z</date></dict>"
                          "<date>9999-12-31T23:59:59Z</date></array>"));
  auto const& items = *tree.array();
  CHECK(sys::iso_time(*items[0].time()) == "0001-01-01T00:00:00Z");
  CHECK(sys::iso_time(*items[2].find("a")->time()) == "2038-01-19T03:14:08Z");
  CHECK(sys::iso_time(*items[3].time()) == "9999-12-31T23:59:59Z");
}

TEST_CASE("Integers and reals are read as they are written by Apple's tools and by hand") {
  auto const number = [](std::string const& text) {
    return *read_plist(in_plist("<integer>" + text + "</integer>")).integer();
  };
  CHECK(number("0") == 0);
  CHECK(number("+7") == 7);
  CHECK(number("-0") == 0);
  CHECK(number(" 12\n") == 12);
  CHECK(number("0x1F") == 31);
  CHECK(number("-0x10") == -16);
  auto const real = [](std::string const& text) {
    return *read_plist(in_plist("<real>" + text + "</real>")).real();
  };
  CHECK(real("0.55000001192092896") == 0.55000001192092896);
  CHECK(real("-1") == -1.0);
  CHECK(real("1e+16") == 1e16);
  CHECK(std::isinf(real("-infinity")));
  CHECK(std::isnan(real("nan")));
}

TEST_CASE("Every number that is written is read back unchanged") {
  for (double const number : {0.1, 1e300, -5e-324, 123456789.125, 1e16, 0.0}) {
    CHECK(*read_plist(write_plist(number)).real() == number);
  }
  CHECK(std::isinf(*read_plist(write_plist(-HUGE_VAL)).real()));
  CHECK(std::isnan(*read_plist(write_plist(std::nan(""))).real()));
}

TEST_CASE("References and carriage returns in strings are resolved and written so that they survive") {
  CHECK(*read_plist(in_plist("<string>&lt;&gt;&amp;&quot;&apos;&#65;&#x1F34E;&amp;lt;</string>")).string() ==
        "<>&\"'A\xf0\x9f\x8d\x8e&lt;");
  Plist const text("a\r\nb");
  CHECK(write_plist(text).find("a&#13;\nb") != std::string::npos);
  CHECK(read_plist(write_plist(text)) == text);
}

TEST_CASE("A control character in a device's string is read but never written") {
  Plist const tree = read_plist(in_plist("<string>App\x0bName</string>"));
  CHECK(*tree.string() == "App\x0bName");
  CHECK_THROWS_AS(write_plist(tree), sys::Error);
  CHECK_THROWS_AS(write_plist("\xef\xbf\xbf"), sys::Error);
  CHECK_THROWS_AS(write_plist("\xff"), sys::Error);
  CHECK_THROWS_AS(write_plist(PlistDict{{std::string("a\0b", 3), 1}}), sys::Error);
}

TEST_CASE("Empty elements are read in both spellings") {
  CHECK(read_plist(in_plist("<string/>")) == Plist(""));
  CHECK(read_plist(in_plist("<string></string>")) == Plist(""));
  CHECK(read_plist(in_plist("<data/>")) == Plist(PlistData{}));
  CHECK(read_plist(in_plist("<true />")) == Plist(true));
  CHECK(read_plist(in_plist("<false></false>")) == Plist(false));
  CHECK(read_plist(in_plist("<dict/>")) == Plist(PlistDict{}));
  CHECK(read_plist(in_plist("<array></array>")) == Plist(PlistArray{}));
  CHECK(read_plist(in_plist("<dict><key></key><string>x</string></dict>")).find_string("") == "x");
}
