#include "sys/fcgi_connection.hpp"

#include <fcgiapp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "sys/crash_point.hpp"
#include "sys/fcgi_head.hpp"
#include "sys/fcgi_message.hpp"

namespace sys {

namespace {

constexpr timeval kStall{10, 0};  // between two bytes of a request or of an answer

std::size_t read_stream(FCGX_Stream* stream, char* into, std::size_t size) {
  int const got = FCGX_GetStr(into, static_cast<int>(size), stream);
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

void write_stream(FCGX_Stream* stream, std::string_view bytes) {
  constexpr std::size_t kChunk = 1U << 20U;
  while (!bytes.empty()) {
    auto const part = bytes.substr(0, kChunk);
    if (FCGX_PutStr(part.data(), static_cast<int>(part.size()), stream) < 0)
      return;  // the web server has gone
    bytes.remove_prefix(part.size());
  }
}

// The head as a file that libfcgi can read in place of the connection; -1 when there is none to be had.
int file_of(std::string_view bytes) {
  int const fd = ::memfd_create("fcgi-head", MFD_CLOEXEC);
  if (fd < 0) return -1;
  bool const written = ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  if (written && ::lseek(fd, 0, SEEK_SET) == 0) return fd;
  ::close(fd);
  return -1;
}

// One accepted connection in libfcgi's hands. libfcgi's own accept is not used: a thread that sleeps in it
// can only be woken by signals, and once FCGX_ShutdownPending was called, a connection that is slow to send
// its first byte makes it close the same descriptor number for ever, whoever owns it by then. Nor is its
// close: it waits for as long as the peer goes on sending.
class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) { FCGX_InitRequest(&request_, -1, 0); }
  Connection(Connection const&) = delete;
  Connection& operator=(Connection const&) = delete;
  ~Connection() {
    request_.keepConnection = 1;
    request_.detached = 1;
    FCGX_Finish_r(&request_);
    if (begun_) crash_point("answer-written");
    if (given_ && request_.ipcFd < 0) return;  // libfcgi closed it, after an error
    if (begun_ && !taken_whole()) {
      ::shutdown(fd_, SHUT_WR);
      drain(fd_);
    }
    ::close(fd_);
  }

  void serve(ServeOptions const& options, Handler const& handler) {
    for (int const option : {SO_RCVTIMEO, SO_SNDTIMEO})
      ::setsockopt(fd_, SOL_SOCKET, option, &kStall, sizeof(kStall));
    if (!begin()) return;  // no FastCGI, or it ended too early: nobody is left to be told
    auto const bytes = answer(options, handler, request_.envp, [this](char* into, std::size_t size) {
      return read_stream(request_.in, into, size);
    });
    crash_point("answer-ready");
    write_stream(request_.out, bytes);
    crash_point("answer-buffered");
  }

 private:
  // Most requests are there as a whole; libfcgi then reads them without a copy being made first.
  bool begin() {
    waiting_ = peek(fd_);
    if (waiting_ != Waiting::other) {
      request_.ipcFd = fd_;
      given_ = true;
      request_.keepConnection = 1;  // else FCGX_Accept_r begins by closing it
      begun_ = FCGX_Accept_r(&request_) >= 0;
      return begun_;
    }
    return begin_slowly();
  }

  bool begin_slowly() {
    auto const head = read_head(fd_);
    if (!head) return false;
    request_.ipcFd = file_of(*head);
    if (request_.ipcFd < 0) return false;
    request_.keepConnection = 1;  // else FCGX_Accept_r begins by closing it
    if (FCGX_Accept_r(&request_) < 0) return false;
    ::close(request_.ipcFd);
    request_.ipcFd = fd_;
    given_ = begun_ = true;
    return true;
  }

  // Nothing is on its way that closing would throw back at the web server before it has read its answer.
  bool taken_whole() const {
    char byte = 0;
    return waiting_ == Waiting::request && ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
  }

  int fd_;
  bool begun_ = false;
  bool given_ = false;  // the connection itself is in libfcgi's hands
  Waiting waiting_ = Waiting::other;
  FCGX_Request request_{};
};

}  // namespace

void serve_connection(int fd, ServeOptions const& options, Handler const& handler) {
  Connection(fd).serve(options, handler);
}

}  // namespace sys
