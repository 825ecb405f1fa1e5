// One simulated device: what it is, what the enrolment profile told it, and what it keeps between sessions.
// With a folder everything is kept there: state.plist, key.pem, cert.pem (0600) and ca/*.pem; without one the
// device lives in memory only (fleets). The folder holds secrets and is made with mode 0700.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cms.hpp"
#include "crypto.hpp"
#include "plist.hpp"
#include "profile.hpp"

namespace device {

enum class Kind { mac, iphone };
Kind kind_from(std::string_view name);
std::string name_of(Kind kind);

// A user of a Mac with a channel of its own; absent for the device channel.
struct User {
  std::string id, short_name, long_name;
};

struct Channel {
  std::optional<User> user;
  std::string token;           // 32 raw bytes
  std::string push_magic;      // secret
  std::string pending_report;  // a report that no 2xx answered: sent first in the next session
  std::string user_id() const { return user ? user->id : ""; }
  std::string user_name() const { return user ? user->short_name : ""; }
};

struct InstalledProfile {
  std::string identifier, uuid, display_name;
};

struct Device {
  Kind kind = Kind::mac;
  std::string udid, serial, name;
  bool enrolled = false;

  // From the enrolment profile.
  MdmPayload mdm;
  InstalledProfile enrolment_profile;
  std::string identity_payload;    // PayloadIdentifier of the SCEP payload behind the identity
  std::vector<std::string> roots;  // PEM, from the profile
  std::string system_trust;        // PEM of --ca-file: what the system would trust by itself

  Identity identity;
  Identity old_identity;  // the one before the last renewal; a device that misbehaves goes on showing it
  Identity shown;         // in this run, instead of `identity`: the old one, or another device's
  int clock_skew = 0;     // seconds, in this run
  SignatureForm signature_form = SignatureForm::apple;
  bool client_certificate = true;  // presented in TLS; false: as behind a proxy that drops it

  Channel channel;              // of the device
  std::optional<Channel> user;  // of its user
  std::string unlock_token;     // secret
  bool awaiting_configuration = false;
  std::vector<InstalledProfile> profiles;  // installed by command
  std::int64_t apns_log_offset = 0;        // how far `wait` has read

  std::filesystem::path folder;  // empty: in memory only

  std::string trust() const;  // PEM for MDM and SCEP traffic
  const Identity& speaking() const { return shown ? shown : identity; }
  std::string label() const { return name_of(kind) + ' ' + udid; }
  void save() const;
  void save_identity() const;
};

Device new_device(Kind kind, const std::string& udid, const std::string& serial);  // empty = made up
bool has_device(const std::filesystem::path& folder);
Device load_device(const std::filesystem::path& folder);

}  // namespace device
