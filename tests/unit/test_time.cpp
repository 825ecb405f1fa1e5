#include <cstdlib>

#include <catch2/catch.hpp>

#include "sys/time.hpp"

using sys::from_unix;
using sys::parse_duration;
using sys::parse_iso_time;
using sys::parse_sql_time;

TEST_CASE("A time is written in each of its forms in UTC") {
  auto const time = from_unix(1'803'895'200) + std::chrono::microseconds(1500);
  CHECK(sys::iso_time(time) == "2027-03-01T10:00:00Z");
  CHECK(sys::sql_time(time) == "2027-03-01 10:00:00.001500");
  CHECK(sys::certbot_time(time) == "2027-03-01 10:00:00+00:00");
  CHECK(sys::unix_seconds(time) == 1'803'895'200);
}

TEST_CASE("Times before 1970 and after 2038 are whole") {
  CHECK(sys::iso_time(from_unix(-1)) == "1969-12-31T23:59:59Z");
  CHECK(sys::unix_seconds(from_unix(-1) + std::chrono::microseconds(1)) == -1);
  CHECK(sys::sql_time(from_unix(-1) + std::chrono::microseconds(1)) == "1969-12-31 23:59:59.000001");
  CHECK(sys::iso_time(from_unix(4'102'444'800)) == "2100-01-01T00:00:00Z");
  CHECK(sys::iso_time(*parse_iso_time("0001-01-01T00:00:00Z")) == "0001-01-01T00:00:00Z");
  CHECK(sys::iso_time(*parse_iso_time("9999-12-31T23:59:59Z")) == "9999-12-31T23:59:59Z");
}

TEST_CASE("What is written is read back") {
  auto const time = from_unix(1'803'895'200) + std::chrono::microseconds(123'456);
  CHECK(parse_sql_time(sys::sql_time(time)) == time);
  CHECK(parse_iso_time("2027-03-01T10:00:00Z") == from_unix(1'803'895'200));
  CHECK(parse_iso_time("2027-03-01T10:00:00.5Z") ==
        from_unix(1'803'895'200) + std::chrono::milliseconds(500));
  CHECK(parse_sql_time("2027-03-01 10:00:00") == from_unix(1'803'895'200));
  CHECK(parse_iso_time("2028-02-29T00:00:00Z"));
}

TEST_CASE("A time that does not exist is not read") {
  for (auto const* text :
       {"", "2027-03-01", "2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z",
        "2027-01-32T00:00:00Z", "2027-01-01T24:00:00Z", "2027-01-01T00:60:00Z", "2027-01-01T00:00:60Z",
        "2027-01-01 00:00:00Z", "2027-01-01T00:00:00X", "2027-01-01T00:00:00ZZ", "2027/01/01T00:00:00Z",
        "-027-01-01T00:00:00Z", "2027-01-01T00:00:00+00:00"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_iso_time(text));
  }
  CHECK_FALSE(parse_sql_time("2027-01-01T00:00:00"));
  CHECK_FALSE(parse_sql_time("2027-01-01 00:00:00Z"));
}

TEST_CASE("Durations have a unit or are seconds") {
  CHECK(parse_duration("30s") == sys::seconds(30));
  CHECK(parse_duration("5m") == sys::seconds(300));
  CHECK(parse_duration("24h") == sys::seconds(86'400));
  CHECK(parse_duration("7d") == sys::seconds(604'800));
  CHECK(parse_duration("90") == sys::seconds(90));
  CHECK(parse_duration("0") == sys::seconds(0));
  for (auto const* text :
       {"", "s", "-1s", "1.5h", "1w", "1 h", "h1", "99999999999999999999", "99999999999999d"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text));
  }
}

TEST_CASE("The test clock is moved by POMONA_TEST_CLOCK") {
  auto const before = sys::current_time();
  REQUIRE(::setenv("POMONA_TEST_CLOCK", "86400", 1) == 0);
  auto const moved = sys::current_time() - before;
  REQUIRE(::unsetenv("POMONA_TEST_CLOCK") == 0);
  CHECK(moved >= std::chrono::hours(24));
  CHECK(moved < std::chrono::hours(25));
}
