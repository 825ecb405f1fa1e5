#include "sys/fcgi_socket.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

constexpr int kFirstPassedFd = 3;  // sd_listen_fds(3)
constexpr int kBacklog = 511;
constexpr mode_t kMode = 0660;

[[noreturn]] void fail(std::string const& path, std::string const& why) {
  throw Error(Fault::internal, "listen on " + path + ": " + why);
}

sockaddr_un address_of(std::string const& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    fail(path, "the path is longer than " + std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  std::memcpy(static_cast<char*>(address.sun_path), path.data(), path.size());
  return address;
}

int new_socket(int kind = 0) { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | kind, 0); }

bool is_answered(sockaddr_un const& address) {
  int const fd = new_socket();
  if (fd < 0) return false;
  bool const answered = ::connect(fd, reinterpret_cast<sockaddr const*>(&address), sizeof(address)) == 0;
  ::close(fd);
  return answered;
}

void remove_stale(std::string const& path, sockaddr_un const& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode))
    fail(path, "something that is no socket is there; remove it or choose another path");
  if (is_answered(address)) fail(path, "another process answers there; stop it first");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail(path, std::strerror(errno));
}

bool is_listening(int fd) {
  int listening = 0;
  socklen_t size = sizeof(listening);
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0;
}

bool passed_to_us() {
  char const* const pid = std::getenv("LISTEN_PID");
  char const* const count = std::getenv("LISTEN_FDS");
  return pid != nullptr && count != nullptr && parse_integer(pid) == ::getpid() &&
         parse_integer(count).value_or(0) >= 1;
}

}  // namespace

Listener Listener::inherited(int fd) {
  // Not blocking for all who share it: each of them waits in poll and may find that another was quicker.
  int const flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    fail("descriptor " + std::to_string(fd), std::strerror(errno));
  return {fd, {}, 0};
}

Listener Listener::bound(std::string const& path) {
  sockaddr_un const address = address_of(path);
  remove_stale(path, address);
  int const fd = new_socket(SOCK_NONBLOCK);
  if (fd < 0) fail(path, std::strerror(errno));
  Listener listener(fd, path, 0);
  mode_t const before = ::umask(0777 & ~kMode);  // no thread runs yet
  int const bound = ::bind(fd, reinterpret_cast<sockaddr const*>(&address), sizeof(address));
  int const code = errno;
  ::umask(before);
  struct stat status {};
  if (bound != 0) fail(path, std::strerror(code));
  if (::lstat(path.c_str(), &status) == 0) listener.inode_ = status.st_ino;
  if (::listen(fd, kBacklog) != 0) fail(path, std::strerror(errno));
  return listener;
}

Listener::~Listener() {
  if (path_.empty()) return;
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_) ::unlink(path_.c_str());
  ::close(fd_);
}

std::optional<Listener> find_listener(std::string const& path) {
  if (!path.empty()) return Listener::bound(path);
  if (passed_to_us()) {
    for (auto const* const name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
    return Listener::inherited(kFirstPassedFd);
  }
  if (is_listening(STDIN_FILENO)) return Listener::inherited(STDIN_FILENO);
  return std::nullopt;
}

}  // namespace sys
