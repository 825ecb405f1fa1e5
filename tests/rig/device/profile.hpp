// A configuration profile, read as an Apple device reads it. What Apple's client would refuse is refused with
// a device::Error that names the key; keys that the device does not know are left alone, as Apple does.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plist.hpp"

namespace device {

using Rdn = std::vector<std::pair<std::string, std::string>>;  // (OID or C, L, ST, O, OU, CN; value)

// com.apple.security.scep
struct ScepPayload {
  std::string uuid, identifier;
  std::string url;
  std::string name;  // the message of GetCACert and GetCACaps; empty = not sent
  std::vector<Rdn> subject;
  std::string challenge;  // secret
  int keysize = 1024;
  int key_usage = 0;           // 1 sign, 4 encrypt
  std::string ca_fingerprint;  // raw digest; its length selects the hash
  int retries = 3;
  int retry_delay = 10;                                                // seconds
  std::vector<std::pair<std::string, std::string>> alternative_names;  // (key of SubjectAltName, value)
};

// com.apple.mdm
struct MdmPayload {
  std::string identity_uuid, topic, server_url, checkin_url;
  std::int64_t access_rights = 0;
  bool sign_message = false;
  bool check_out_when_removed = false;
  std::vector<std::string> capabilities;
};

struct Profile {
  std::string identifier, uuid, display_name;
  std::string signer;              // empty = not signed
  std::vector<std::string> roots;  // DER, from certificate payloads
  std::vector<ScepPayload> scep;
  std::optional<MdmPayload> mdm;
  const ScepPayload* identity() const;  // the payload that the MDM payload names
};

struct Identity;
// identity: what EncryptedPayloadContent is opened with; null: such a profile is refused.
Profile read_profile(const std::string& bytes, const Identity* identity = nullptr);

}  // namespace device
