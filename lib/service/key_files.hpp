// The key files of `pomona secrets init`: master key, one key for each domain, and the gate's secret.
//
// KEY_DIR/master.key (0600) is 32 random bytes in hex, read by the `pomona` command only. KEY_DIR/DOMAIN.key
// (0640 root:pomona-DOMAIN) is derived from it, so a lost one can be made again; a lost master cannot. The
// gate file (0640 root:pomona) is the secret by which handlers know nginx. Nothing that exists is ever
// replaced by other content: whatever killed a run, the next one finishes it.
#pragma once

#include <string>
#include <vector>

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

}  // namespace service
