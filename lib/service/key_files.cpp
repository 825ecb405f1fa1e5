#include "service/key_files.hpp"

#include <filesystem>

#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/seal.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using sys::Error;
using sys::Fault;
using Outcome = KeyFile::Outcome;
namespace fs = std::filesystem;

constexpr unsigned kMasterMode = 0600;
constexpr unsigned kSharedMode = 0640;
constexpr std::size_t kKeySize = 32;

// Key files are read by users of several groups: they pass through the folder, but cannot list it.
void make_folder(std::string const& folder) {
  if (fs::is_directory(folder)) return;
  fs::create_directories(folder);
  fs::permissions(folder, static_cast<fs::perms>(0711));
}

// What a kill between writing and renaming left behind.
void remove_leftovers(std::string const& folder) {
  for (auto const& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().find(".key.new-") != std::string::npos) fs::remove(entry.path());
  }
}

std::string domain_path(std::string const& folder, std::string const& domain) {
  return folder + '/' + domain + ".key";
}

bool access_differs(KeyFile const& file) {
  auto const access = sys::file_access(file.path);
  bool const group_counts = !file.group.empty() && !file.group_missing && sys::running_as_root();
  return access.mode != file.mode || (group_counts && access.group != file.group);
}

void write(KeyFile const& file, sys::SecretBytes const& text) {
  sys::write_file_atomically(file.path, text.view(), file.mode, file.group);
}

// A new file, or the old content with the right mode and group.
KeyFile settle(std::string const& path, unsigned mode, std::string const& group,
               sys::SecretBytes const& text) {
  KeyFile file{path, mode, group, !group.empty() && !sys::group_exists(group)};
  if (!sys::file_exists(path)) {
    file.outcome = Outcome::made;
  } else if (access_differs(file)) {
    file.outcome = Outcome::repaired;
  }
  if (file.outcome != Outcome::kept) write(file, text);
  return file;
}

sys::SecretBytes secret_text(std::string_view bytes) { return sys::SecretBytes(sys::hex(bytes) + '\n'); }

sys::SecretBytes read_master(std::string const& path) {
  auto const text = sys::read_secret_file(path);
  auto decoded = sys::unhex(text.view());
  if (!decoded || decoded->size() != kKeySize) {
    throw Error(Fault::conflict, path + ": not 64 hex digits; put the right one back from a backup");
  }
  return sys::SecretBytes(std::move(*decoded));
}

void refuse_orphans(std::string const& folder) {
  for (auto const& domain : key_domains()) {
    if (!sys::file_exists(domain_path(folder, domain))) continue;
    throw Error(
        Fault::conflict,
        domain_path(folder, domain) +
            " exists, but its master.key does not. A new "
            "master key could not open what is stored: put master.key back from a backup, or, if nothing "
            "was ever stored, remove the *.key files and repeat");
  }
}

sys::SecretBytes master_key(std::string const& folder, std::vector<KeyFile>& files) {
  std::string const path = folder + "/master.key";
  if (!sys::file_exists(path)) {
    refuse_orphans(folder);
    sys::SecretBytes fresh(sys::random_bytes(kKeySize));
    files.push_back(settle(path, kMasterMode, "", secret_text(fresh.view())));
    return fresh;
  }
  auto master = read_master(path);
  files.push_back(settle(path, kMasterMode, "", secret_text(master.view())));
  return master;
}

KeyFile domain_key(std::string const& folder, std::string const& domain, sys::SecretBytes const& master) {
  auto const wanted = sys::SealKey::from_master(domain, master);
  std::string const path = domain_path(folder, domain);
  if (sys::file_exists(path) && sys::SealKey::from_file(folder, domain).key_id() != wanted.key_id()) {
    throw Error(Fault::conflict, path +
                                     " was not made from this master.key; one of the two comes from another "
                                     "installation or backup");
  }
  return settle(path, kSharedMode, "pomona-" + domain, secret_text(wanted.bytes().view()));
}

KeyFile gate(std::string const& path) {
  sys::SecretBytes text;
  if (sys::file_exists(path)) {
    text = sys::SecretBytes(sys::read_secret_file(path).str() + '\n');
  } else {
    auto const folder = fs::path(path).parent_path();
    if (!folder.empty()) fs::create_directories(folder);
    text = secret_text(sys::random_bytes(kKeySize));
  }
  return settle(path, kSharedMode, "pomona", text);
}

}  // namespace

std::vector<std::string> const& key_domains() {
  static std::vector<std::string> const domains{"ca", "signing", "push", "dep", "escrow", "message", "https"};
  return domains;
}

std::vector<KeyFile> init_key_files(std::string const& key_dir, std::string const& gate_file) {
  make_folder(key_dir);
  sys::FolderLock const lock(key_dir);
  remove_leftovers(key_dir);
  std::vector<KeyFile> files;
  auto const master = master_key(key_dir, files);
  for (auto const& domain : key_domains()) files.push_back(domain_key(key_dir, domain, master));
  if (!gate_file.empty()) files.push_back(gate(gate_file));
  return files;
}

}  // namespace service
