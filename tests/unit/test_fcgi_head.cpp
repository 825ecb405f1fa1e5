#include <array>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/fcgi_head.hpp"

namespace {

constexpr unsigned char kBegin = 1;
constexpr unsigned char kParams = 4;
constexpr std::string_view kResponder("\0\1\0\0\0\0\0\0", 8);

std::string record(unsigned char type, std::string_view content = {}) {
  std::string out{'\1', static_cast<char>(type), '\0', '\1'};
  out += static_cast<char>(content.size() >> 8U);
  out += static_cast<char>(content.size() & 0xffU);
  out += std::string(2, '\0');
  return out.append(content);
}

// What becomes of these parameters.
bool taken(std::string_view params) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  std::string const bytes = record(kBegin, kResponder) + record(kParams, params) + record(kParams);
  REQUIRE(::send(ends[0], bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  ::close(ends[0]);
  auto const head = sys::read_head(ends[1]);
  ::close(ends[1]);
  CHECK((!head || *head == bytes));
  return head.has_value();
}

}  // namespace

TEST_CASE("Parameters of any length that fits are taken") {
  CHECK(taken("\3\1ABCx"));
  CHECK(taken(std::string_view("\1\0A\1\0B", 6)));
  CHECK(taken(std::string_view("\x80\0\0\1\x80\0\0\1Ax", 10)));
  CHECK(taken(std::string(2, '\xff').insert(0, std::string_view("\x02\x00", 2))));
}

TEST_CASE("Names and values that claim to be longer than the parameters are refused") {
  CHECK_FALSE(taken("\3\2ABCx"));
  CHECK_FALSE(taken("\3"));
  CHECK_FALSE(taken("\xff\xff\xff"));
  // Together an int overflows: a buffer of no bytes for all that follows.
  CHECK_FALSE(taken(std::string(8, '\xff') + std::string(4000, 'x')));
  CHECK_FALSE(taken(std::string("\x3\x1"
                                "ABCx") +
                    "\xbc\xaf\xaa\xab\xf1\xfe\xbc\xa7NTENT"));
}
