#include "sys/fcgi_head.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include <poll.h>
#include <sys/socket.h>

namespace sys {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kLongestHead{10};
constexpr std::chrono::seconds kLongestDrain{2};
constexpr std::size_t kLargestHead = 1U << 20U;
constexpr std::size_t kPeeked = 16U << 10U;

constexpr unsigned kBeginRequest = 1;
constexpr unsigned kParams = 4;
constexpr unsigned kStdin = 5;
constexpr unsigned kResponder = 1;
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kBeginBytes = 8;
constexpr std::size_t kPaddingAt = 6;  // in a header

// What is there, up to `size` bytes; 0 at the end, after an error and after the deadline.
std::size_t receive(int fd, char* into, std::size_t size, Clock::time_point deadline) {
  while (true) {
    auto const left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return 0;
    pollfd watched{fd, POLLIN, 0};
    if (::poll(&watched, 1, static_cast<int>(left)) == 0) return 0;
    ssize_t const got = ::recv(fd, into, size, MSG_DONTWAIT);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EAGAIN && errno != EINTR) return 0;
  }
}

bool append(int fd, std::string& bytes, std::size_t size, Clock::time_point deadline) {
  std::size_t have = bytes.size();
  bytes.resize(have + size);
  while (have < bytes.size()) {
    std::size_t const got = receive(fd, bytes.data() + have, bytes.size() - have, deadline);
    if (got == 0) return false;
    have += got;
  }
  return true;
}

unsigned byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }
unsigned pair_at(std::string_view bytes, std::size_t at) {
  return byte_at(bytes, at) << 8U | byte_at(bytes, at + 1);
}

struct Record {
  unsigned type;
  unsigned id;
  std::size_t length;
  std::size_t content;  // where it starts
};

std::optional<Record> next_record(int fd, std::string& bytes, Clock::time_point deadline) {
  std::size_t const start = bytes.size();
  if (!append(fd, bytes, kHeaderBytes, deadline) || byte_at(bytes, start) != 1) return std::nullopt;
  Record const record{byte_at(bytes, start + 1), pair_at(bytes, start + 2), pair_at(bytes, start + 4),
                      bytes.size()};
  if (!append(fd, bytes, record.length + byte_at(bytes, start + kPaddingAt), deadline)) return std::nullopt;
  // libfcgi does not skip the padding of every record: it would read another request than the one checked
  // here.
  bytes.resize(record.content + record.length);
  bytes[start + kPaddingAt] = '\0';
  return record;
}

// One length of a name or value; nullopt when the bytes end before it does.
std::optional<std::size_t> take_length(std::string_view& params) {
  std::size_t const bytes = params.empty() || static_cast<unsigned char>(params[0]) < 0x80 ? 1 : 4;
  if (params.size() < bytes) return std::nullopt;
  std::size_t length = static_cast<unsigned char>(params[0]) & 0x7fU;
  for (std::size_t i = 1; i < bytes; ++i) length = length << 8U | static_cast<unsigned char>(params[i]);
  params.remove_prefix(bytes);
  return length;
}

// libfcgi takes the lengths at their word: it adds two of them as int and asks for so much memory.
bool lengths_fit(std::string_view params) {
  while (!params.empty()) {
    auto const name = take_length(params);
    auto const value = name ? take_length(params) : std::nullopt;
    if (!value || *name > params.size() || *value > params.size() - *name) return false;
    params.remove_prefix(*name + *value);
  }
  return true;
}

// A record at the start of `bytes`, which it is taken from.
struct Piece {
  unsigned type;
  unsigned id;
  std::size_t padding;
  std::string_view content;
};

std::optional<Piece> take_piece(std::string_view& bytes) {
  if (bytes.size() < kHeaderBytes || byte_at(bytes, 0) != 1) return std::nullopt;
  std::size_t const length = pair_at(bytes, 4);
  std::size_t const padding = byte_at(bytes, kPaddingAt);
  if (bytes.size() - kHeaderBytes < length + padding) return std::nullopt;
  Piece const piece{byte_at(bytes, 1), pair_at(bytes, 2), padding, bytes.substr(kHeaderBytes, length)};
  bytes.remove_prefix(kHeaderBytes + length + padding);
  return piece;
}

// libfcgi forgets the padding of a record that ends a stream, and that of BEGIN_REQUEST.
bool take_head(std::string_view& bytes, unsigned& id) {
  auto const begin = take_piece(bytes);
  if (!begin || begin->type != kBeginRequest || begin->id == 0 || begin->padding != 0 ||
      begin->content.size() != kBeginBytes || pair_at(begin->content, 0) != kResponder) {
    return false;
  }
  id = begin->id;
  std::string params;
  while (auto const piece = take_piece(bytes)) {
    if (piece->type != kParams || piece->id != id) return false;
    if (piece->content.empty()) return piece->padding == 0 && lengths_fit(params);
    params += piece->content;
  }
  return false;
}

bool take_body(std::string_view& bytes, unsigned id) {
  while (auto const piece = take_piece(bytes)) {
    if (piece->type != kStdin || piece->id != id) return false;
    if (piece->content.empty()) return true;
  }
  return false;
}

}  // namespace

Waiting peek(int fd) {
  std::array<char, kPeeked> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled below
  ssize_t const got = ::recv(fd, buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got <= 0) return Waiting::other;
  std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
  unsigned id = 0;
  if (!take_head(bytes, id)) return Waiting::other;
  return take_body(bytes, id) && bytes.empty() ? Waiting::request : Waiting::head;
}

std::optional<std::string> read_head(int fd) {
  auto const deadline = Clock::now() + kLongestHead;
  std::string head;
  auto const begin = next_record(fd, head, deadline);
  if (!begin || begin->type != kBeginRequest || begin->id == 0 || begin->length != kBeginBytes ||
      pair_at(head, begin->content) != kResponder) {
    return std::nullopt;
  }
  std::string params;
  while (head.size() <= kLargestHead) {
    auto const record = next_record(fd, head, deadline);
    if (!record || record->type != kParams || record->id != begin->id) return std::nullopt;
    if (record->length == 0) return lengths_fit(params) ? std::optional(std::move(head)) : std::nullopt;
    params.append(head, record->content, record->length);
  }
  return std::nullopt;
}

void drain(int fd) {
  auto const deadline = Clock::now() + kLongestDrain;
  std::array<char, 16U << 10U> waste{};
  while (receive(fd, waste.data(), waste.size(), deadline) > 0) {
  }
}

}  // namespace sys
