#include "sys/fcgi_connection.hpp"

#include <fcgiapp.h>
#include <sys/socket.h>
#include <sys/time.h>

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

// One accepted connection in libfcgi's hands. libfcgi's own accept is not used: a thread that sleeps in it
// can only be woken by signals, and once FCGX_ShutdownPending was called, a connection that is slow to send
// its first byte makes it close the same descriptor number for ever, whoever owns it by then.
class Connection {
 public:
  explicit Connection(int fd) {
    FCGX_InitRequest(&request_, -1, 0);
    request_.ipcFd = fd;
    request_.keepConnection = 1;  // else FCGX_Accept_r begins by closing it
  }
  Connection(Connection const&) = delete;
  Connection& operator=(Connection const&) = delete;
  ~Connection() {
    request_.keepConnection = 0;
    FCGX_Finish_r(&request_);
  }

  void serve(ServeOptions const& options, Handler const& handler) {
    for (int const option : {SO_RCVTIMEO, SO_SNDTIMEO})
      ::setsockopt(request_.ipcFd, SOL_SOCKET, option, &kStall, sizeof(kStall));
    if (FCGX_Accept_r(&request_) < 0) return;  // no FastCGI, or it ended too early: nobody is left to be told
    write_stream(request_.out, answer(options, handler, request_.envp, [this](char* into, std::size_t size) {
                   return read_stream(request_.in, into, size);
                 }));
  }

 private:
  FCGX_Request request_{};
};

}  // namespace

void serve_connection(int fd, ServeOptions const& options, Handler const& handler) {
  Connection(fd).serve(options, handler);
}

}  // namespace sys
