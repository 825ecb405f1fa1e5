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
  std::size_t padding;
};

// nullopt for fewer than eight bytes and for another version of the protocol.
std::optional<Record> read_header(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || byte_at(bytes, 0) != 1) return std::nullopt;
  return Record{byte_at(bytes, 1), pair_at(bytes, 2), pair_at(bytes, 4), byte_at(bytes, kPaddingAt)};
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

// What a head may be made of, record by record.
class Head {
 public:
  enum class State { open, whole, wrong };

  State take(Record const& record, std::string_view content) {
    if (id_ == 0) return begin(record, content) ? State::open : State::wrong;
    if (record.type != kParams || record.id != id_) return State::wrong;
    if (content.empty()) return lengths_fit(params_) ? State::whole : State::wrong;
    params_ += content;
    return State::open;
  }
  [[nodiscard]] unsigned id() const noexcept { return id_; }

 private:
  bool begin(Record const& record, std::string_view content) {
    id_ = record.id;
    return id_ != 0 && record.type == kBeginRequest && content.size() == kBeginBytes &&
           pair_at(content, 0) == kResponder;
  }

  unsigned id_ = 0;
  std::string params_;
};

// Takes one record from the start of `bytes`, to be given to `take` with its content; false when it is not
// there as a whole.
template <typename Take>
bool take_record(std::string_view& bytes, Take&& take) {
  auto const record = read_header(bytes);
  if (!record || bytes.size() - kHeaderBytes < record->length + record->padding) return false;
  auto const content = bytes.substr(kHeaderBytes, record->length);
  bytes.remove_prefix(kHeaderBytes + record->length + record->padding);
  return take(*record, content);
}

// libfcgi forgets the padding of a record that ends a stream, and that of BEGIN_REQUEST: such a head is for
// read_head().
bool take_head(std::string_view& bytes, Head& head) {
  auto state = Head::State::open;
  while (state == Head::State::open) {
    bool const taken = take_record(bytes, [&](Record const& record, std::string_view content) {
      bool const forgotten = record.type == kBeginRequest || content.empty();
      state = forgotten && record.padding != 0 ? Head::State::wrong : head.take(record, content);
      return true;
    });
    if (!taken) return false;
  }
  return state == Head::State::whole;
}

bool take_body(std::string_view& bytes, unsigned id) {
  bool ended = false;
  while (!ended) {
    bool const taken = take_record(bytes, [&](Record const& record, std::string_view content) {
      ended = content.empty();
      return record.type == kStdin && record.id == id;
    });
    if (!taken) return false;
  }
  return true;
}

// Reads one record to the end of `bytes`; its content is what ends there. libfcgi does not skip the padding
// of every record, so it is taken off: it would read another request than the one checked here.
std::optional<Record> receive_record(int fd, std::string& bytes, Clock::time_point deadline) {
  std::size_t const start = bytes.size();
  if (!append(fd, bytes, kHeaderBytes, deadline)) return std::nullopt;
  auto const record = read_header(std::string_view(bytes).substr(start));
  if (!record || !append(fd, bytes, record->length + record->padding, deadline)) return std::nullopt;
  bytes.resize(bytes.size() - record->padding);
  bytes[start + kPaddingAt] = '\0';
  return record;
}

}  // namespace

Waiting peek(int fd) {
  std::array<char, kPeeked> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled below
  ssize_t const got = ::recv(fd, buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got <= 0) return Waiting::other;
  std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
  Head head;
  if (!take_head(bytes, head)) return Waiting::other;
  return take_body(bytes, head.id()) && bytes.empty() ? Waiting::request : Waiting::head;
}

std::optional<std::string> read_head(int fd) {
  auto const deadline = Clock::now() + kLongestHead;
  std::string bytes;
  Head head;
  while (bytes.size() <= kLargestHead) {
    auto const record = receive_record(fd, bytes, deadline);
    if (!record) return std::nullopt;
    auto const content = std::string_view(bytes).substr(bytes.size() - record->length);
    auto const state = head.take(*record, content);
    if (state == Head::State::wrong) return std::nullopt;
    if (state == Head::State::whole) return bytes;
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
