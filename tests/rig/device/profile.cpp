#include "profile.hpp"

#include <algorithm>
#include <set>

#include "cms.hpp"
#include "crypto.hpp"
#include "error.hpp"

namespace device {
namespace {

// The keys that every profile and every payload must have, and what is said when they do not.
std::string require_string(const Dict& dict, std::string_view key, const std::string& where) {
  const auto text = dict.string(key);
  if (!text || text->empty()) throw Error(where + " lacks the string " + std::string(key));
  return *text;
}

std::string optional_string(const Dict& dict, std::string_view key, const std::string& where) {
  if (!dict.has(key)) return "";
  const auto text = dict.string(key);
  if (!text) throw Error(where + ": " + std::string(key) + " must be a string");
  return *text;
}

std::int64_t optional_integer(const Dict& dict, std::string_view key, std::int64_t absent,
                              const std::string& where) {
  if (!dict.has(key)) return absent;
  const auto number = dict.integer(key);
  if (!number) throw Error(where + ": " + std::string(key) + " must be an integer");
  return *number;
}

bool optional_boolean(const Dict& dict, std::string_view key, const std::string& where) {
  if (!dict.has(key)) return false;
  const auto flag = dict.boolean(key);
  if (!flag) throw Error(where + ": " + std::string(key) + " must be true or false");
  return *flag;
}

struct Frame {
  std::string identifier, uuid, type;
};

Frame read_frame(const Dict& dict, const std::string& where) {
  Frame frame{require_string(dict, "PayloadIdentifier", where), require_string(dict, "PayloadUUID", where),
              require_string(dict, "PayloadType", where)};
  if (dict.integer("PayloadVersion") != std::int64_t{1})
    throw Error(where + ": PayloadVersion must be the integer 1");
  return frame;
}

bool https(const std::string& url) { return url.starts_with("https://") && url.size() > 8; }

// Array of arrays of arrays of two strings.
std::vector<Rdn> read_subject(const Dict& content, const std::string& where) {
  std::vector<Rdn> subject;
  if (!content.has("Subject")) return subject;
  const Error shape(where + ": Subject must be an array of arrays of [type, value] arrays");
  const Array* names = content.array("Subject");
  if (names == nullptr) throw shape;
  for (const Value& set : *names) {
    if (set.array() == nullptr || set.array()->empty()) throw shape;
    Rdn rdn;
    for (const Value& pair : *set.array()) {
      const Array* two = pair.array();
      if (two == nullptr || two->size() != 2 || (*two)[0].string() == nullptr ||
          (*two)[1].string() == nullptr)
        throw shape;
      rdn.emplace_back(*(*two)[0].string(), *(*two)[1].string());
    }
    subject.push_back(std::move(rdn));
  }
  return subject;
}

void read_alternative_names(const Dict& content, ScepPayload& payload, const std::string& where) {
  if (!content.has("SubjectAltName")) return;
  const Dict* names = content.dict("SubjectAltName");
  if (names == nullptr) throw Error(where + ": SubjectAltName must be a dictionary");
  for (const Entry& entry : names->entries()) {
    static const std::set<std::string_view> known{"rfc822Name", "dNSName", "uniformResourceIdentifier",
                                                  "ntPrincipalName"};
    if (known.count(entry.key) == 0) throw Error(where + ": SubjectAltName has the unknown key " + entry.key);
    if (const std::string* text = entry.value.string())
      payload.alternative_names.emplace_back(entry.key, *text);
    if (const Array* several = entry.value.array())
      for (const Value& value : *several)
        if (value.string() != nullptr) payload.alternative_names.emplace_back(entry.key, *value.string());
  }
}

void check_scep(const ScepPayload& payload, const std::string& where) {
  if (!payload.url.starts_with("http://") && !https(payload.url))
    throw Error(where + ": URL must be http or https");
  if (payload.keysize != 1024 && payload.keysize != 2048 && payload.keysize != 4096)
    throw Error(where + ": Keysize must be 1024, 2048 or 4096");
  if (payload.key_usage != 0 && payload.key_usage != 1 && payload.key_usage != 4 && payload.key_usage != 5)
    throw Error(where + ": Key Usage must be 1 (sign), 4 (encrypt) or 5 (both)");
  static const std::set<std::size_t> lengths{0, 16, 20, 28, 32, 48, 64};
  if (lengths.count(payload.ca_fingerprint.size()) == 0)
    throw Error(where + ": CAFingerprint of " + std::to_string(payload.ca_fingerprint.size()) +
                " bytes is no known digest");
}

ScepPayload read_scep(const Dict& dict, const Frame& frame, const std::string& where) {
  const Dict* content = dict.dict("PayloadContent");
  if (content == nullptr) throw Error(where + " lacks the dictionary PayloadContent");
  ScepPayload payload;
  payload.uuid = frame.uuid;
  payload.identifier = frame.identifier;
  payload.url = require_string(*content, "URL", where);
  payload.name = optional_string(*content, "Name", where);
  payload.challenge = optional_string(*content, "Challenge", where);
  payload.subject = read_subject(*content, where);
  payload.keysize = static_cast<int>(optional_integer(*content, "Keysize", 1024, where));
  payload.key_usage = static_cast<int>(optional_integer(*content, "Key Usage", 0, where));
  payload.retries = static_cast<int>(optional_integer(*content, "Retries", 3, where));
  payload.retry_delay = static_cast<int>(optional_integer(*content, "RetryDelay", 10, where));
  if (const auto type = optional_string(*content, "Key Type", where); !type.empty() && type != "RSA")
    throw Error(where + ": Key Type must be RSA");
  if (content->has("CAFingerprint")) {
    const auto print = content->data("CAFingerprint");
    if (!print) throw Error(where + ": CAFingerprint must be data");
    payload.ca_fingerprint = *print;
  }
  read_alternative_names(*content, payload, where);
  check_scep(payload, where);
  return payload;
}

void check_mdm(const MdmPayload& payload, const std::string& where) {
  if (!payload.topic.starts_with("com.apple.mgmt."))
    throw Error(where + ": Topic '" + payload.topic + "' does not start with com.apple.mgmt.");
  if (!https(payload.server_url)) throw Error(where + ": ServerURL must be https");
  if (!https(payload.checkin_url)) throw Error(where + ": CheckInURL must be https");
  const std::int64_t rights = payload.access_rights;
  if (rights <= 0 || rights > 8191) throw Error(where + ": AccessRights must be between 1 and 8191");
  if ((rights & 2) != 0 && (rights & 1) == 0) throw Error(where + ": AccessRights 2 needs 1");
  if ((rights & 128) != 0 && (rights & 64) == 0) throw Error(where + ": AccessRights 128 needs 64");
}

MdmPayload read_mdm(const Dict& dict, const std::string& where) {
  MdmPayload payload;
  payload.identity_uuid = require_string(dict, "IdentityCertificateUUID", where);
  payload.topic = require_string(dict, "Topic", where);
  payload.server_url = require_string(dict, "ServerURL", where);
  payload.checkin_url = optional_string(dict, "CheckInURL", where);
  if (payload.checkin_url.empty()) payload.checkin_url = payload.server_url;
  payload.access_rights = optional_integer(dict, "AccessRights", 8191, where);
  payload.sign_message = optional_boolean(dict, "SignMessage", where);
  payload.check_out_when_removed = optional_boolean(dict, "CheckOutWhenRemoved", where);
  if (optional_boolean(dict, "UseDevelopmentAPNS", where))
    throw Error(where + ": UseDevelopmentAPNS does not work with push certificates from Apple's portal");
  if (dict.has("ServerCapabilities")) {
    const Array* names = dict.array("ServerCapabilities");
    if (names == nullptr) throw Error(where + ": ServerCapabilities must be an array of strings");
    for (const Value& name : *names) {
      if (name.string() == nullptr) throw Error(where + ": ServerCapabilities must be an array of strings");
      payload.capabilities.push_back(*name.string());
    }
  }
  check_mdm(payload, where);
  return payload;
}

std::string read_certificate(const Dict& dict, const std::string& type, const std::string& where) {
  const auto content = dict.data("PayloadContent");
  if (!content) throw Error(where + " lacks the data PayloadContent");
  try {
    return type == "com.apple.security.pem" ? to_der(certificate_from_pem(*content).get())
                                            : to_der(certificate_from_der(*content).get());
  } catch (const Error& error) {
    throw Error(where + ": " + error.what());
  }
}

void read_payload(const Value& value, Profile& profile, std::set<std::string>& uuids) {
  const Dict* dict = value.dict();
  if (dict == nullptr) throw Error("the profile's PayloadContent holds something that is no dictionary");
  const std::string type = dict->string("PayloadType").value_or("");
  const std::string where = type.empty() ? "a payload of the profile" : "the payload " + type;
  const Frame frame = read_frame(*dict, where);
  if (!uuids.insert(frame.uuid).second)
    throw Error("two payloads of the profile have the PayloadUUID " + frame.uuid);
  if (type == "com.apple.security.scep") profile.scep.push_back(read_scep(*dict, frame, where));
  if (type == "com.apple.mdm") {
    if (profile.mdm) throw Error("the profile has more than one payload com.apple.mdm");
    profile.mdm = read_mdm(*dict, where);
  }
  if (type == "com.apple.security.root" || type == "com.apple.security.pkcs1" ||
      type == "com.apple.security.pem")
    profile.roots.push_back(read_certificate(*dict, type, where));
}

// In the clear, or encrypted to the identity that the device has already.
Array payloads_of(const Dict& root, const Identity* identity) {
  if (root.boolean("IsEncrypted").value_or(false)) {
    const auto envelope = root.data("EncryptedPayloadContent");
    if (!envelope) throw Error("the profile IsEncrypted and lacks the data EncryptedPayloadContent");
    if (identity == nullptr || !*identity)
      throw Error("the profile is encrypted, and this device has no identity yet to open it with");
    const Value content = parse_plist(open_envelope(*envelope, *identity));
    if (content.array() == nullptr) throw Error("EncryptedPayloadContent holds no array of payloads");
    return *content.array();
  }
  const Array* payloads = root.array("PayloadContent");
  if (payloads == nullptr) throw Error("the profile lacks the array PayloadContent");
  return *payloads;
}

}  // namespace

const ScepPayload* Profile::identity() const {
  const auto at = std::find_if(scep.begin(), scep.end(), [&](const ScepPayload& payload) {
    return mdm && payload.uuid == mdm->identity_uuid;
  });
  return at == scep.end() ? nullptr : &*at;
}

Profile read_profile(const std::string& bytes, const Identity* identity) {
  Profile profile;
  const Dict root = parse_plist_dict(unwrap_signed(bytes, profile.signer));
  const Frame frame = read_frame(root, "the profile");
  if (frame.type != "Configuration") throw Error("the profile's PayloadType is not Configuration");
  profile.identifier = frame.identifier;
  profile.uuid = frame.uuid;
  profile.display_name = root.string("PayloadDisplayName").value_or(profile.identifier);
  std::set<std::string> uuids{profile.uuid};
  for (const Value& payload : payloads_of(root, identity)) read_payload(payload, profile, uuids);
  if (profile.mdm && profile.identity() == nullptr)
    throw Error("the MDM payload's IdentityCertificateUUID names no SCEP payload of this profile");
  return profile;
}

}  // namespace device
