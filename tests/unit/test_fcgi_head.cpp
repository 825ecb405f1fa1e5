#include <array>
#include <optional>
#include <string>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/fcgi_head.hpp"

namespace {

constexpr unsigned char kBegin = 1;
constexpr unsigned char kParams = 4;
constexpr unsigned char kStdin = 5;
constexpr std::string_view kResponder("\0\1\0\0\0\0\0\0", 8);

std::string record(unsigned char type, std::string_view content = {}) {
  std::string out{'\1', static_cast<char>(type), '\0', '\1'};
  out += static_cast<char>(content.size() >> 8U);
  out += static_cast<char>(content.size() & 0xffU);
  out += std::string(2, '\0');
  return out.append(content);
}

std::string padded(std::string bytes, unsigned char padding) {
  bytes[6] = static_cast<char>(padding);
  return bytes.append(padding, 'p');
}

std::optional<std::string> head_of(std::string const& bytes) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  REQUIRE(::send(ends[0], bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  ::close(ends[0]);
  auto head = sys::read_head(ends[1]);
  ::close(ends[1]);
  return head;
}

sys::Waiting waiting(std::string const& bytes) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  REQUIRE(::send(ends[0], bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  auto const found = sys::peek(ends[1]);
  // Whatever it found, everything is still there.
  std::string left(bytes.size() + 1, '\0');
  CHECK(::recv(ends[1], left.data(), left.size(), MSG_DONTWAIT) == static_cast<ssize_t>(bytes.size()));
  for (int const end : ends) ::close(end);
  return found;
}

// What becomes of these parameters.
bool taken(std::string_view params) {
  std::string const bytes = record(kBegin, kResponder) + record(kParams, params) + record(kParams);
  auto const head = head_of(bytes);
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

TEST_CASE("Padding is taken off, because libfcgi does not skip all of it") {
  auto const begin = record(kBegin, kResponder);
  auto const params = record(kParams, "\3\1ABCx");
  auto const end = record(kParams);
  CHECK(head_of(padded(begin, 64) + padded(params, 3) + padded(end, 255)) == begin + params + end);
}

TEST_CASE("A request that is there as a whole is told from one whose body is still on its way") {
  auto const head = record(kBegin, kResponder) + padded(record(kParams, "\3\1ABCx"), 2) + record(kParams);
  CHECK(waiting(head + record(kStdin)) == sys::Waiting::request);
  CHECK(waiting(head + padded(record(kStdin, "body"), 4) + record(kStdin)) == sys::Waiting::request);
  CHECK(waiting(head) == sys::Waiting::head);
  CHECK(waiting(head + record(kStdin, "body")) == sys::Waiting::head);
  CHECK(waiting(head + record(kStdin) + "more") == sys::Waiting::head);
}

TEST_CASE("A head that libfcgi must not see as it came is left to the careful way") {
  auto const begin = record(kBegin, kResponder);
  auto const params = record(kParams, "\3\1ABCx");
  auto const end = record(kParams);
  CHECK(waiting("x") == sys::Waiting::other);
  CHECK(waiting(begin + params) == sys::Waiting::other);
  CHECK(waiting(padded(begin, 8) + params + end) == sys::Waiting::other);
  CHECK(waiting(begin + params + padded(end, 8)) == sys::Waiting::other);
  CHECK(waiting(begin + record(kParams, "\3\2ABCx") + end) == sys::Waiting::other);
  CHECK(waiting(record(kBegin, std::string_view("\0\2\0\0\0\0\0\0", 8)) + params + end) ==
        sys::Waiting::other);
  CHECK(waiting(begin + record(kStdin) + params + end) == sys::Waiting::other);
}
