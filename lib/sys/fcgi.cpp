#include "sys/fcgi.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include <fcgiapp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/error.hpp"
#include "sys/fcgi_connection.hpp"
#include "sys/fcgi_message.hpp"
#include "sys/fcgi_socket.hpp"
#include "sys/log.hpp"

namespace sys {

namespace {

constexpr int kFirstDataMs = 2000;  // from connecting to the first byte; web servers send at once
constexpr int kLastChanceMs = 250;  // the same when we are about to stop

// SIGTERM and SIGINT are taken by sigwait alone: blocked in every thread, they interrupt no system call.
sigset_t block_stop_signals() {
  sigset_t stop;
  sigemptyset(&stop);
  for (int const number : {SIGTERM, SIGINT}) sigaddset(&stop, number);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
  return stop;
}

// Readable for everybody from the moment of stop() on.
class StopFlag {
 public:
  StopFlag() : fd_(::eventfd(0, EFD_CLOEXEC)) {
    if (fd_ < 0) throw Error(Fault::internal, std::string("start: eventfd: ") + std::strerror(errno));
  }
  StopFlag(StopFlag const&) = delete;
  StopFlag& operator=(StopFlag const&) = delete;
  ~StopFlag() { ::close(fd_); }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  void stop() const { ::eventfd_write(fd_, 1); }

 private:
  int fd_;
};

struct Readable {
  bool wanted;
  bool stop;
};

Readable wait_readable(int fd, int stop_fd, int timeout_ms) {
  std::array<pollfd, 2> watched{pollfd{fd, POLLIN, 0}, pollfd{stop_fd, POLLIN, 0}};
  ::poll(watched.data(), stop_fd < 0 ? 1 : 2, timeout_ms);
  return {(watched[0].revents & POLLIN) != 0, (watched[1].revents & POLLIN) != 0};
}

// The threads of one server; its end waits for the requests in flight.
class Workers {
 public:
  Workers(ServeOptions const& options, MakeHandler const& make_handler, int listening_fd)
      : options_(options), make_handler_(make_handler), listening_fd_(listening_fd) {
    for (int i = 0; i < std::max(1, options.threads); ++i) threads_.emplace_back([this] { run(); });
  }
  Workers(Workers const&) = delete;
  Workers& operator=(Workers const&) = delete;
  ~Workers() {
    stop_.stop();
    for (auto& thread : threads_) thread.join();
  }

  [[nodiscard]] bool failed() const { return failed_; }

 private:
  void run() {
    try {
      Handler const handler = make_handler_();
      for (int fd = next_connection(); fd >= 0; fd = next_connection())
        serve_connection(fd, options_, handler);
    } catch (std::exception const& error) {
      LogLine("thread.failed").add("error", error.what()).write();
      failed_ = true;
      ::kill(::getpid(), SIGTERM);
    }
  }

  // -1: time to leave. A connection that sends nothing is dropped, so that it holds no thread.
  int next_connection() {
    for (int fd = accept_one(); fd >= 0; fd = accept_one()) {
      auto readable = wait_readable(fd, stop_.fd(), kFirstDataMs);
      if (!readable.wanted && readable.stop) readable = wait_readable(fd, -1, kLastChanceMs);
      if (readable.wanted) return fd;
      ::close(fd);
    }
    return -1;
  }

  // One thread at a time waits, so that a connection wakes one. Other processes may wait on the same socket:
  // the descriptor does not block, and who comes too late waits again.
  int accept_one() {
    std::lock_guard const lock(accepting_);
    while (true) {
      auto const readable = wait_readable(listening_fd_, stop_.fd(), -1);
      if (readable.stop) return -1;
      int const fd = ::accept4(listening_fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) return fd;
      if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) continue;
      // Out of descriptors or memory: it passes, and must not fill the log meanwhile.
      LogLine("accept.failed").add("error", std::strerror(errno)).write();
      wait_readable(stop_.fd(), -1, 1000);
    }
  }

  ServeOptions const& options_;
  MakeHandler const& make_handler_;
  int listening_fd_;
  StopFlag stop_;
  std::mutex accepting_;
  std::atomic<bool> failed_{false};
  std::vector<std::thread> threads_;
};

int serve_socket(ServeOptions const& options, MakeHandler const& make_handler, Listener const& listener) {
  sigset_t const stop = block_stop_signals();
  if (FCGX_Init() != 0) throw Error(Fault::internal, "start: libfcgi cannot be initialised");
  Workers const workers(options, make_handler, listener.fd());
  int number = 0;
  sigwait(&stop, &number);
  return workers.failed() ? 1 : 0;
}

// One request by RFC 3875: parameters in the environment, the body on descriptor 0, the answer on 1.
int serve_cgi(ServeOptions const& options, MakeHandler const& make_handler) {
  auto const read_all = [](char* into, std::size_t size) {
    std::size_t have = 0;
    while (have < size) {
      ssize_t const got = ::read(STDIN_FILENO, into + have, size - have);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    return have;
  };
  std::string const bytes = answer(options, make_handler(), environ, read_all);
  std::string_view rest = bytes;
  while (!rest.empty()) {
    ssize_t const written = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return 1;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

}  // namespace

int serve(ServeOptions const& options, MakeHandler const& make_handler) {
  auto const listener = find_listener(options.socket_path);
  if (listener) return serve_socket(options, make_handler, *listener);
  if (std::getenv("GATEWAY_INTERFACE") != nullptr) return serve_cgi(options, make_handler);
  std::cerr
      << "No socket to serve. Give --socket PATH, or start this program through systemd socket activation "
         "(LISTEN_FDS), spawn-fcgi (a listening socket as descriptor 0) or a web server's CGI.\n";
  constexpr int kUsage = 2;
  return kUsage;
}

}  // namespace sys
