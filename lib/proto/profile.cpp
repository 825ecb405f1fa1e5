#include "proto/profile.hpp"

#include <algorithm>
#include <cctype>

#include "sys/digest.hpp"
#include "sys/plist.hpp"
#include "sys/text.hpp"

namespace proto {

namespace {

using sys::Plist;
using sys::PlistArray;
using sys::PlistData;
using sys::PlistDict;

constexpr int kKeySize = 2048;      // Apple's default is 1024
constexpr int kSignAndEncrypt = 5;  // Key Usage: 1 sign, 4 encrypt
constexpr int kRetries = 3;
constexpr int kRetrySeconds = 10;

struct Frame {
  std::string type;
  std::string identifier;
  std::string uuid;
  std::string name;
  std::string description;
  std::string organization;
};

// The keys that the root and every payload have.
Plist framed(Frame const& frame) {
  return PlistDict{{"PayloadType", frame.type},
                   {"PayloadVersion", 1},
                   {"PayloadIdentifier", frame.identifier},
                   {"PayloadUUID", frame.uuid},
                   {"PayloadDisplayName", frame.name},
                   {"PayloadDescription", frame.description},
                   {"PayloadOrganization", frame.organization}};
}

PlistArray subject(FreshProfile const& fresh) {
  auto const name = [](char const* type, std::string const& value) -> Plist {
    return PlistArray{PlistArray{type, value}};
  };
  return {name("O", fresh.organization), name("CN", fresh.identity_uuid)};
}

Plist scep_payload(FrozenProfile const& frozen, FreshProfile const& fresh) {
  Plist payload = framed({"com.apple.security.scep", frozen.root_identifier + ".scep", fresh.identity_uuid,
                          "Device identity", "The certificate by which the server knows this device.",
                          fresh.organization});
  Plist content = PlistDict{{"URL", fresh.scep_url},
                            {"Subject", subject(fresh)},
                            {"Challenge", fresh.challenge},
                            {"Keysize", kKeySize},
                            {"Key Type", "RSA"},
                            {"Key Usage", kSignAndEncrypt},
                            {"CAFingerprint", PlistData{fresh.ca_fingerprint}},
                            {"Retries", kRetries},
                            {"RetryDelay", kRetrySeconds},
                            {"KeyIsExtractable", false}};
  if (!fresh.scep_name.empty()) content.set("Name", fresh.scep_name);
  payload.set("PayloadContent", std::move(content));
  return payload;
}

Plist mdm_payload(FrozenProfile const& frozen, FreshProfile const& fresh) {
  std::string const identifier = frozen.root_identifier + ".mdm";
  Plist payload = framed({"com.apple.mdm", identifier, derived_uuid(fresh.root_uuid, identifier),
                          "Device management", "Lets the server manage this device.", fresh.organization});
  payload.set("IdentityCertificateUUID", fresh.identity_uuid);
  payload.set("Topic", frozen.topic);
  payload.set("ServerURL", frozen.server_url);
  payload.set("CheckInURL", frozen.checkin_url);
  payload.set("AccessRights", static_cast<std::int64_t>(frozen.access_rights));
  payload.set("SignMessage", frozen.sign_message);
  payload.set("CheckOutWhenRemoved", true);
  payload.set("ServerCapabilities", PlistArray(frozen.capabilities.begin(), frozen.capabilities.end()));
  return payload;
}

// Named by the certificate's hash, so that an update replaces a certificate by itself only.
Plist root_payload(std::string_view root_identifier, std::string_view root_uuid,
                   std::string_view organization, TrustAnchor const& anchor) {
  constexpr std::size_t kNamed = 8;  // bytes of the hash
  std::string const tag = sys::hex(sys::sha256(anchor.der).substr(0, kNamed));
  std::string const identifier = std::string(root_identifier) + ".trust." + tag;
  Plist payload =
      framed({"com.apple.security.root", identifier, derived_uuid(root_uuid, identifier), anchor.name,
              "Makes this device trust the server's certificate.", std::string(organization)});
  payload.set("PayloadCertificateFileName", tag + ".cer");
  payload.set("PayloadContent", PlistData{anchor.der});
  return payload;
}

PlistArray root_payloads(std::string_view root_identifier, std::string_view root_uuid,
                         std::string_view organization, std::vector<TrustAnchor> const& trust) {
  PlistArray payloads;
  for (auto const& anchor : trust) {
    Plist payload = root_payload(root_identifier, root_uuid, organization, anchor);
    if (std::find(payloads.begin(), payloads.end(), payload) == payloads.end())
      payloads.push_back(std::move(payload));
  }
  return payloads;
}

bool is_address(std::string_view host) {
  return host.find_first_not_of("0123456789.") == std::string_view::npos ||
         host.find(':') != std::string_view::npos;
}

std::string_view host_of(std::string_view url) {
  if (auto const scheme = url.find("://"); scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find('/'));
  if (url.starts_with('[')) return url.substr(1, url.find(']') - 1);
  return url.substr(0, url.find(':'));
}

Plist enrollment_root(FrozenProfile const& frozen, FreshProfile const& fresh) {
  return framed({"Configuration", frozen.root_identifier, fresh.root_uuid,
                 fresh.organization + " device management",
                 "Enrols this device with " + fresh.organization +
                     ", which can then configure it, install software and erase it.",
                 fresh.organization});
}

// Certificates come first: the device installs payloads in this order and needs them for the next.
PlistArray payloads_of(FrozenProfile const& frozen, FreshProfile const& fresh) {
  PlistArray payloads =
      root_payloads(frozen.root_identifier, fresh.root_uuid, fresh.organization, fresh.trust);
  payloads.push_back(scep_payload(frozen, fresh));
  payloads.push_back(mdm_payload(frozen, fresh));
  return payloads;
}

}  // namespace

std::string enrollment_profile(FrozenProfile const& frozen, FreshProfile const& fresh) {
  Plist root = enrollment_root(frozen, fresh);
  root.set("PayloadContent", payloads_of(frozen, fresh));
  return sys::write_plist(root);
}

std::string enrollment_payloads(FrozenProfile const& frozen, FreshProfile const& fresh) {
  return sys::write_plist(payloads_of(frozen, fresh));
}

std::string encrypted_enrollment_profile(FrozenProfile const& frozen, FreshProfile const& fresh,
                                         std::string const& enveloped_payloads) {
  Plist root = enrollment_root(frozen, fresh);
  root.set("IsEncrypted", true);
  root.set("EncryptedPayloadContent", PlistData{enveloped_payloads});
  return sys::write_plist(root);
}

std::string trust_profile(std::string_view root_identifier, std::string_view organization,
                          std::vector<TrustAnchor> const& trust) {
  std::string content;
  for (auto const& anchor : trust) content += anchor.der;
  std::string const uuid = derived_uuid(root_identifier, content);
  std::string const owner(organization);
  Plist root =
      framed({"Configuration", std::string(root_identifier), uuid, owner + " certificates",
              "Makes this device trust the certificates of " + owner + "'s management server.", owner});
  root.set("PayloadContent", root_payloads(root_identifier, uuid, organization, trust));
  return sys::write_plist(root);
}

std::string profile_identifier(std::string_view server_url, std::string_view what) {
  std::string_view const host = host_of(server_url);
  std::string identifier;
  if (is_address(host)) {
    identifier = host;
  } else {
    auto labels = sys::split(host, '.');
    std::reverse(labels.begin(), labels.end());
    for (auto const label : labels) identifier.append(identifier.empty() ? "" : ".").append(label);
  }
  return identifier.append(".").append(what);
}

std::vector<std::string> default_capabilities() {
  return {"com.apple.mdm.per-user-connections", "com.apple.mdm.bootstraptoken"};
}

std::string derived_uuid(std::string_view base, std::string_view label) {
  std::string bytes = sys::sha256(std::string(base) + '\0' + std::string(label)).substr(0, 16);
  bytes[6] = static_cast<char>((static_cast<unsigned char>(bytes[6]) & 0x0fU) | 0x80U);
  bytes[8] = static_cast<char>((static_cast<unsigned char>(bytes[8]) & 0x3fU) | 0x80U);
  std::string const digits = sys::to_upper(sys::hex(bytes));
  return digits.substr(0, 8) + '-' + digits.substr(8, 4) + '-' + digits.substr(12, 4) + '-' +
         digits.substr(16, 4) + '-' + digits.substr(20);
}

}  // namespace proto
