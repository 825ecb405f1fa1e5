#include "keys.hpp"

#include <charconv>
#include <chrono>

#include <signal.h>
#include <unistd.h>

#include "bytes.hpp"

namespace device {
namespace {

namespace fs = std::filesystem;
constexpr mode_t secret_file = 0600;

bool process_lives(std::string_view text) {
  pid_t pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  return pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM);
}

// "PID FOLDER": in use while that process lives, and after it while the device in that folder holds the key.
bool owner_lives(const fs::path& key, const std::string& owner) {
  const std::size_t space = owner.find(' ');
  if (space == std::string::npos || process_lives(owner.substr(0, space))) return true;
  const fs::path folder = owner.substr(space + 1);
  std::error_code gone;
  for (const char* name : {"key.pem", "old-key.pem"})
    if (fs::exists(folder / name, gone) && read_file(folder / name) == read_file(key)) return true;
  return false;
}

void reclaim(const fs::path& used, const fs::path& free) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(used, ignored)) {
    const fs::path& key = entry.path();
    if (key.extension() != ".pem") continue;
    const fs::path owner = key.string() + ".owner";
    try {
      if (owner_lives(key, read_file(owner))) continue;
    } catch (const Error&) {  // just being taken, or taken by a process that died before it wrote its name
      const auto age = fs::file_time_type::clock::now() - fs::last_write_time(key, ignored);
      if (ignored || age < std::chrono::minutes(1)) continue;
    }
    fs::remove(owner, ignored);
    fs::rename(key, free / key.filename(), ignored);
  }
}

}  // namespace

KeyPool::KeyPool(fs::path folder) : folder_(std::move(folder)) {
  if (folder_.empty()) return;
  fs::create_directories(folder_ / "free");
  fs::create_directories(folder_ / "used");
  fs::permissions(folder_, fs::perms::owner_all);
  reclaim(folder_ / "used", folder_ / "free");
}

Key KeyPool::take(int bits, const fs::path& owner) {
  if (folder_.empty()) return generate_rsa(bits);
  const std::string prefix = "rsa" + std::to_string(bits) + '-';
  const std::string who =
      std::to_string(::getpid()) + ' ' + (owner.empty() ? "/nonexistent" : fs::absolute(owner).string());
  std::error_code taken;
  for (const auto& entry : fs::directory_iterator(folder_ / "free")) {
    const fs::path name = entry.path().filename();
    if (!name.string().starts_with(prefix) || name.extension() != ".pem") continue;
    const fs::path mine = folder_ / "used" / name;
    fs::rename(entry.path(), mine, taken);
    if (taken) continue;  // another one was quicker
    write_file(mine.string() + ".owner", who, secret_file);
    return key_from_pem(read_file(mine));
  }
  Key key = generate_rsa(bits);
  const fs::path mine = folder_ / "used" / (prefix + hex(random_bytes(8)) + ".pem");
  write_file(mine, to_pem(key.get()), secret_file);
  write_file(mine.string() + ".owner", who, secret_file);
  return key;
}

}  // namespace device
