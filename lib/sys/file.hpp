// Whole files, bounded, and atomic replacement (temporary file, fsync, rename, fsync of the folder).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "sys/bytes.hpp"

namespace sys {

// Throws Error{not_found} when it is not there, Error{internal} naming the file and errno otherwise, or above
// `limit` bytes.
std::string read_file(std::string const& path, std::size_t limit = 16U << 20U);
SecretBytes read_secret_file(std::string const& path);  // at most 64 KiB; one trailing newline is dropped
bool file_exists(std::string const& path);

// `mode` is set before the first byte is written; `group` (may be empty) is given the file when we may do so.
void write_file_atomically(std::string const& path, std::string_view bytes, unsigned mode,
                           std::string const& group = {});
// Other content for a file that is there (for its target, where it is a symbolic link), as atomically: owner,
// group, mode and access list stay, so that whoever could read it still can. Error{not_found} without one.
void replace_file(std::string const& path, std::string_view bytes);

// Holds a folder against other processes that take the same lock; given back at the end of its life, also by
// a kill. Throws Error{unavailable} when another one has it.
class FolderLock {
 public:
  explicit FolderLock(std::string const& folder);
  FolderLock(FolderLock const&) = delete;
  FolderLock& operator=(FolderLock const&) = delete;
  ~FolderLock();

 private:
  int fd_;
};

// Who may read a file: mode bits, owning group's name ("" for a gid without name).
struct FileAccess {
  unsigned mode = 0;
  std::string group;
};
FileAccess file_access(std::string const& path);

// Differs when the file was replaced or written to; nullopt when there is none that we could look at.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;  // since the epoch
  std::int64_t changed_ns = 0;
  bool operator==(FileStamp const&) const = default;
};
std::optional<FileStamp> file_stamp(std::string const& path) noexcept;

bool group_exists(std::string const& name);
bool running_as_root() noexcept;

}  // namespace sys
