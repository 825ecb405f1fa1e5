// Enrolment and trust profiles as XML property lists: what a device installs to be managed.
//
// An enrolment profile is a function of frozen values, kept as long as the enrolment lives, and of fresh
// ones, made for each ticket. An update of the installed profile that changes a frozen value is rejected by
// the device as a whole, so a renewal is rendered from the same frozen values with another ticket's fresh
// ones. The same values give the same bytes. Nothing here is secret but the challenge. Source: Apple's
// com.apple.mdm, com.apple.security.scep, com.apple.security.root and TopLevel payload descriptions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace proto {

inline constexpr std::uint32_t kAllAccessRights = 8191;

struct FrozenProfile {
  std::string root_identifier;                     // PayloadIdentifier of the root
  std::string topic;                               // Topic, that of the push certificate
  std::string server_url;                          // ServerURL: commands
  std::string checkin_url;                         // CheckInURL
  std::uint32_t access_rights = kAllAccessRights;  // AccessRights; may only lose bits
  // ServerCapabilities; com.apple.mdm.per-user-connections can neither be added nor removed later.
  std::vector<std::string> capabilities;
  bool sign_message = false;  // SignMessage: identity by Mdm-Signature instead of TLS
};

struct TrustAnchor {
  std::string der;
  std::string name;  // for people
};

struct FreshProfile {
  std::string root_uuid;      // PayloadUUID of the root; those of the other payloads are derived from it
  std::string identity_uuid;  // PayloadUUID of the SCEP payload: the ticket's
  std::string organization;
  std::string scep_url;
  std::string scep_name;  // CA identifier, sent as `message`; "" leaves it out
  std::string challenge;
  std::string ca_fingerprint;  // raw SHA-256 of the CA certificate (by its length the device knows the hash)
  std::vector<TrustAnchor> trust;  // CAs of the HTTPS certificate, when it is no public one
};

// Throws Error{bad_request} for text that no property list can hold.
std::string enrollment_profile(FrozenProfile const& frozen, FreshProfile const& fresh);

// The same in two parts, for a profile that only the holder of one key can read: its payloads as a property
// list (an array), and the root around them as CMS EnvelopedData (EncryptedPayloadContent). The root names
// nothing that is secret.
std::string enrollment_payloads(FrozenProfile const& frozen, FreshProfile const& fresh);
std::string encrypted_enrollment_profile(FrozenProfile const& frozen, FreshProfile const& fresh,
                                         std::string const& enveloped_payloads);

// Certificates alone: for people whose browser must trust the server before they can fetch the other one.
std::string trust_profile(std::string_view root_identifier, std::string_view organization,
                          std::vector<TrustAnchor> const& trust);

// "https://mdm.example.org:8443/x" and "enrollment" -> "org.example.mdm.enrollment"; an address stays as it
// is.
std::string profile_identifier(std::string_view server_url, std::string_view what);

// What a new enrolment is offered.
std::vector<std::string> default_capabilities();

// A UUID that is a function of its arguments (version 8 of RFC 9562: SHA-256, cut).
std::string derived_uuid(std::string_view base, std::string_view label);

}  // namespace proto
