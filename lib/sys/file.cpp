#include "sys/file.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd const&) = delete;
  Fd& operator=(Fd const&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void fail(std::string const& doing, std::string const& path) {
  int const code = errno;
  throw Error(code == ENOENT ? Fault::not_found : Fault::internal,
              doing + ' ' + path + ": " + std::strerror(code));
}

void write_all(int fd, std::string_view bytes, std::string const& path) {
  while (!bytes.empty()) {
    ssize_t const written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", path);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void give_to_group(int fd, std::string const& group, std::string const& path) {
  if (group.empty()) return;
  ::group const* entry = ::getgrnam(group.c_str());
  if (entry == nullptr || ::geteuid() != 0) return;  // a private stack has no such groups
  if (::fchown(fd, 0, entry->gr_gid) != 0) fail("change group of", path);
}

}  // namespace

std::string read_file(std::string const& path, std::size_t limit) {
  Fd const fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) fail("read", path);
  std::string out;
  std::string buffer(1U << 16U, '\0');
  while (true) {
    ssize_t const got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read", path);
    if (got == 0) break;
    out.append(buffer, 0, static_cast<std::size_t>(got));
    if (out.size() > limit) {
      throw Error(Fault::internal, "read " + path + ": larger than " + std::to_string(limit) + " bytes");
    }
  }
  wipe(buffer);
  return out;
}

SecretBytes read_secret_file(std::string const& path) {
  std::string bytes = read_file(path, 1U << 16U);
  if (!bytes.empty() && bytes.back() == '\n') bytes.pop_back();
  SecretBytes secret(bytes);
  wipe(bytes);
  return secret;
}

bool file_exists(std::string const& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

namespace {

// The new file in place of the old one, or nothing left of it. `prepare` sets who may read it, before the
// first byte.
template <typename Prepare>
void put_in_place(std::string const& path, std::string_view bytes, Prepare const& prepare) {
  std::string const temporary = path + ".new-" + hex(random_bytes(6));
  try {
    Fd const fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd.get() < 0) fail("create", temporary);
    prepare(fd.get(), temporary);
    write_all(fd.get(), bytes, temporary);
    if (::fsync(fd.get()) != 0) fail("sync", temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail("rename", temporary);
  } catch (Error const&) {
    ::unlink(temporary.c_str());
    throw;
  }
  auto parent = std::filesystem::path(path).parent_path();
  Fd const folder(::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) fail("sync folder of", path);
}

constexpr char const* kAccessList = "system.posix_acl_access";

void copy_access_list(int from, int to, std::string const& path) {
  std::array<char, 4096> list{};
  ssize_t const size = ::fgetxattr(from, kAccessList, list.data(), list.size());
  if (size <= 0 && (size == 0 || errno == ENODATA || errno == ENOTSUP)) return;
  if (size < 0 || ::fsetxattr(to, kAccessList, list.data(), static_cast<std::size_t>(size), 0) != 0)
    fail("set access list of", path);
}

}  // namespace

void write_file_atomically(std::string const& path, std::string_view bytes, unsigned mode,
                           std::string const& group) {
  put_in_place(path, bytes, [&](int fd, std::string const& temporary) {
    give_to_group(fd, group, temporary);
    if (::fchmod(fd, mode) != 0) fail("set mode of", temporary);
  });
}

void replace_file(std::string const& path, std::string_view bytes) {
  std::error_code none;
  auto const target = std::filesystem::canonical(path, none);
  if (none) throw Error(Fault::not_found, "look at " + path + ": " + none.message());
  Fd const old(::open(target.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (old.get() < 0 || ::fstat(old.get(), &status) != 0) fail("look at", target);
  put_in_place(target, bytes, [&](int fd, std::string const& temporary) {
    if (::fchown(fd, status.st_uid, status.st_gid) != 0) fail("change owner of", temporary);
    if (::fchmod(fd, status.st_mode & 07777U) != 0) fail("set mode of", temporary);
    copy_access_list(old.get(), fd, temporary);
  });
}

FolderLock::FolderLock(std::string const& folder)
    : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ < 0) fail("open folder", folder);
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  ::close(fd_);
  throw Error(Fault::unavailable, "lock " + folder + ": another process is at work there; try again");
}

FolderLock::~FolderLock() { ::close(fd_); }

FileAccess file_access(std::string const& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail("look at", path);
  ::group const* entry = ::getgrgid(status.st_gid);
  return {status.st_mode & 07777U, entry != nullptr ? entry->gr_name : ""};
}

std::optional<FileStamp> file_stamp(std::string const& path) noexcept {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  constexpr std::int64_t kSecond = 1'000'000'000;
  return FileStamp{status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
                   status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec,
                   status.st_ctim.tv_sec * kSecond + status.st_ctim.tv_nsec};
}

bool group_exists(std::string const& name) { return ::getgrnam(name.c_str()) != nullptr; }

bool running_as_root() noexcept { return ::geteuid() == 0; }

}  // namespace sys
