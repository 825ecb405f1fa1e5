#include "service/key_files.hpp"

#include <filesystem>

#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/key_ring.hpp"
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

std::string domain_group(std::string const& domain) { return "pomona-" + domain; }

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

void refuse_orphans(std::string const& folder) {
  for (auto const& domain : key_domains()) {
    if (!sys::file_exists(domain_key_path(folder, domain))) continue;
    throw Error(
        Fault::conflict,
        domain_key_path(folder, domain) +
            " exists, but its master.key does not. A new "
            "master key could not open what is stored: put master.key back from a backup, or, if nothing "
            "was ever stored, remove the *.key files and repeat");
  }
}

MasterKey master_key(std::string const& folder, std::vector<KeyFile>& files) {
  std::string const path = master_key_path(folder);
  bool const fresh = !sys::file_exists(path);
  if (fresh) refuse_orphans(folder);
  auto master = fresh ? new_master_key() : read_master_key(path);
  files.push_back(settle(path, kMasterMode, "", master_key_text(master)));
  return master;
}

KeyFile domain_key(std::string const& folder, std::string const& domain, MasterKey const& master) {
  std::string const path = domain_key_path(folder, domain);
  auto const keys =
      sys::file_exists(path) ? read_domain_keys(folder, domain, master) : master.domain_keys(domain);
  return settle(path, kSharedMode, domain_group(domain), sys::key_file_text(keys));
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

std::string master_key_path(std::string const& key_dir) { return key_dir + "/master.key"; }

std::string domain_key_path(std::string const& key_dir, std::string const& domain) {
  return key_dir + '/' + domain + ".key";
}

void remove_key_leftovers(std::string const& key_dir) {
  for (auto const& entry : fs::directory_iterator(key_dir)) {
    if (entry.path().filename().string().find(".key.new-") != std::string::npos) fs::remove(entry.path());
  }
}

std::vector<sys::SealKey> read_domain_keys(std::string const& key_dir, std::string const& domain,
                                           MasterKey const& master) {
  std::string const path = domain_key_path(key_dir, domain);
  auto keys = sys::read_key_file(path, domain);
  for (auto const& key : keys) {
    if (master.find(domain, key.key_id())) continue;
    throw Error(Fault::conflict, path +
                                     " was not made from this master.key; one of the two comes from another "
                                     "installation or backup");
  }
  return keys;
}

void write_domain_keys(std::string const& key_dir, std::string const& domain,
                       std::vector<sys::SealKey> const& keys) {
  auto const path = domain_key_path(key_dir, domain);
  auto const text = sys::key_file_text(keys);
  if (sys::file_exists(path)) return sys::replace_file(path, text.view());
  sys::write_file_atomically(path, text.view(), kSharedMode, domain_group(domain));
}

void write_master_key(std::string const& key_dir, MasterKey const& master) {
  sys::write_file_atomically(master_key_path(key_dir), master_key_text(master).view(), kMasterMode);
}

std::vector<KeyFile> init_key_files(std::string const& key_dir, std::string const& gate_file) {
  make_folder(key_dir);
  sys::FolderLock const lock(key_dir);
  remove_key_leftovers(key_dir);
  std::vector<KeyFile> files;
  auto const master = master_key(key_dir, files);
  for (auto const& domain : key_domains()) files.push_back(domain_key(key_dir, domain, master));
  if (!gate_file.empty()) files.push_back(gate(gate_file));
  return files;
}

}  // namespace service
