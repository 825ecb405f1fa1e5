// The key files of `pomona secrets init`: master key, one key for each domain, and the gate's secret.
//
// KEY_DIR/master.key (0600) is 32 random bytes in hex, read by the `pomona` command only; see master_key.hpp
// for what may follow them. KEY_DIR/DOMAIN.key (0640 root:pomona-DOMAIN) is derived from it, so a lost one
// can be made again; a lost master cannot. The gate file (0640 root:pomona) is the secret by which handlers
// know nginx. Nothing that exists is replaced by other content here (that is rotate.hpp): whatever killed a
// run, the next one finishes it. Files are written by temporary file, fsync, rename and fsync of the folder.
#pragma once

#include <string>
#include <vector>

#include "service/master_key.hpp"

namespace service {

std::vector<std::string> const& key_domains();  // ca, signing, push, dep, escrow, message, https

struct KeyFile {
  std::string path;
  unsigned mode = 0;
  std::string group;           // who may read it besides its owner; "" for nobody
  bool group_missing = false;  // the group does not exist here, so only the owner can read it
  enum class Outcome { made, kept, repaired } outcome = Outcome::kept;  // repaired: mode or group was wrong
};

// Throws Error{conflict} when what is there contradicts itself: domain keys without their master, or of
// another one. Error{unavailable} while another process does the same.
std::vector<KeyFile> init_key_files(std::string const& key_dir, std::string const& gate_file);

std::string master_key_path(std::string const& key_dir);
std::string domain_key_path(std::string const& key_dir, std::string const& domain);

// The keys of a domain's file, the sealing one first. Error{conflict} when one is not derived from `master`.
std::vector<sys::SealKey> read_domain_keys(std::string const& key_dir, std::string const& domain,
                                           MasterKey const& master);
// Whoever calls these holds the folder's lock (sys::FolderLock).
void write_domain_keys(std::string const& key_dir, std::string const& domain,
                       std::vector<sys::SealKey> const& keys);
void write_master_key(std::string const& key_dir, MasterKey const& master);
void remove_key_leftovers(std::string const& key_dir);  // what a kill between writing and renaming left

}  // namespace service
