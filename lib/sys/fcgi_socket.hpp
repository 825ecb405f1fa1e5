// Inside of sys/fcgi: where requests come from. Others include sys/fcgi.hpp.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace sys {

// A listening descriptor. One that we bound to a path removes its file when it goes, unless another process
// has taken the path over; one that was handed to us stays as it is, because the supervisor goes on using it.
class Listener {
 public:
  static Listener inherited(int fd);
  // Mode 0660. Replaces the file of a process that died; throws Error{internal} where something else stands
  // there or a process still answers.
  static Listener bound(std::string const& path);

  Listener(Listener&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), path_(std::exchange(other.path_, {})), inode_(other.inode_) {}
  Listener& operator=(Listener&&) = delete;
  Listener(Listener const&) = delete;
  Listener& operator=(Listener const&) = delete;
  ~Listener();

  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  Listener(int fd, std::string path, unsigned long inode) : fd_(fd), path_(std::move(path)), inode_(inode) {}

  int fd_;
  std::string path_;
  unsigned long inode_;
};

// The socket at `path`; without a path the one of LISTEN_FDS when LISTEN_PID is this process; else descriptor
// 0 if it listens. nullopt when there is none.
std::optional<Listener> find_listener(std::string const& path);

}  // namespace sys
