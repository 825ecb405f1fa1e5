// One connection of a web server. The first byte says what the rest is: records as they come, or parameters
// and a body in records that are right. No input may hang, escape or get more than one answer, and the
// handler sees nothing that breaks the limits or lacks the gate's secret.
#include "sys/fcgi_connection.hpp"

#include <map>
#include <string>
#include <string_view>

#include <fcgiapp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/input.hpp"
#include "sys/fcgi.hpp"

namespace {

using fuzz::demand;

constexpr std::size_t kBodyLimit = 4096;
constexpr std::string_view kGate = "gate-secret";
// Types of records (FastCGI 1.0, section 8).
constexpr unsigned char kBegin = 1;
constexpr unsigned char kParams = 4;
constexpr unsigned char kStdin = 5;

void append_length(std::string& out, std::size_t length) {
  if (length < 0x80) {
    out += static_cast<char>(length);
    return;
  }
  out += static_cast<char>(0x80U | length >> 24U);
  for (unsigned const shift : {16U, 8U, 0U}) out += static_cast<char>(length >> shift & 0xffU);
}

void append_pair(std::string& out, std::string_view name, std::string_view value) {
  append_length(out, name.size());
  append_length(out, value.size());
  out += name;
  out += value;
}

void append_record(std::string& out, unsigned char type, std::string_view content) {
  out += '\1';
  out += static_cast<char>(type);
  out += std::string_view("\0\1", 2);
  out += static_cast<char>(content.size() >> 8U);
  out += static_cast<char>(content.size() & 0xffU);
  out += std::string_view("\0\0", 2);
  out += content;
}

// A stream in records of this size, and its end.
void append_stream(std::string& out, unsigned char type, std::string_view content, std::size_t size) {
  for (; !content.empty(); content.remove_prefix(std::min(size, content.size())))
    append_record(out, type, content.substr(0, size));
  append_record(out, type, {});
}

// Parameters with any names and values, then any body.
std::string in_records(fuzz::Input& input) {
  std::string params;
  auto const choices = input.byte();
  std::size_t const pieces = 1 + input.number() % 8192;
  if ((choices & 1U) == 0) append_pair(params, "POMONA_GATE", kGate);
  for (unsigned count = input.byte() % 16U; count > 0; --count) {
    auto const name = input.text();
    append_pair(params, name, input.text());
  }
  auto const body = input.rest();
  if ((choices & 2U) == 0) append_pair(params, "CONTENT_LENGTH", std::to_string(body.size()));
  std::string out;
  append_record(out, kBegin, std::string_view("\0\1\0\0\0\0\0\0", 8));
  append_stream(out, kParams, params, pieces);
  append_stream(out, kStdin, body, pieces);
  return out;
}

sys::Response handle(sys::Request const& request) {
  demand(request.body.size() <= kBodyLimit);
  demand(request.param("POMONA_GATE").empty() && request.param("HTTP_PROXY").empty());
  demand(request.params.size() <= 257);  // DOCUMENT_URI may be added
  (void)request.path();
  sys::Response response;
  response.body = request.body;
  response.headers["X-Echo"] = std::string(request.param("HTTP_ECHO"));
  return response;
}

std::string read_all(int fd) {
  std::string out;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof(buffer))) > 0;)
    out.append(buffer, static_cast<std::size_t>(got));
  return out;
}

}  // namespace

// libfcgi 2.4.2 loses 48 bytes for each management record of a type that it does not know, and only a sender
// with the gate's secret gets it to read one: what stands before that is read by sys/fcgi_head.
extern "C" char const* __lsan_default_suppressions() { return "leak:libfcgi"; }

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  constexpr std::size_t kLargest = 64U << 10U;  // fits into the socket's buffer
  if (size > kLargest) return 0;
  static bool const ready = FCGX_Init() == 0;
  demand(ready);
  std::string_view const sent(reinterpret_cast<char const*>(data), size);
  fuzz::Input input(data, size);
  std::string const bytes = input.byte() % 2 == 0 ? std::string(input.rest()) : in_records(input);
  int ends[2];
  demand(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  demand(::send(ends[0], bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size()));
  ::shutdown(ends[0], SHUT_WR);
  static sys::ServeOptions const options = [] {
    sys::ServeOptions wanted;
    wanted.body_limit = kBodyLimit;
    wanted.gate = sys::SecretBytes(std::string(kGate));
    return wanted;
  }();
  sys::serve_connection(ends[1], options, handle);
  auto const answer = read_all(ends[0]);
  ::close(ends[0]);
  auto const second = answer.find("\r\nStatus: ");  // in the header block it would be another answer
  demand(second == std::string::npos || answer.find("\r\n\r\n") < second);
  demand(answer.find(kGate) == std::string::npos || sent.find(kGate) != std::string_view::npos);
  return 0;
}
