#include "enroll.hpp"

#include <algorithm>

#include "bytes.hpp"
#include "mdm.hpp"
#include "messages.hpp"

namespace device {
namespace {

constexpr const char* user_channels = "com.apple.mdm.per-user-connections";

bool has_capability(const MdmPayload& mdm, std::string_view name) {
  return std::find(mdm.capabilities.begin(), mdm.capabilities.end(), name) != mdm.capabilities.end();
}

void replace_all(std::string& text, std::string_view from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// macOS fills in variables and, without a subject, uses the payload's identifier; iOS does neither.
ScepPayload for_device(ScepPayload payload, const Device& device) {
  if (device.kind != Kind::mac) return payload;
  for (Rdn& rdn : payload.subject)
    for (auto& [type, value] : rdn) {
      replace_all(value, "%HardwareUUID%", device.udid);
      replace_all(value, "%SerialNumber%", device.serial);
      replace_all(value, "%ComputerName%", device.name);
      replace_all(value, "%HostName%", device.serial + ".local");
      replace_all(value, "%LocalHostName%", device.serial);
    }
  if (payload.subject.empty()) payload.subject = {{{"CN", payload.identifier}}};
  return payload;
}

}  // namespace

Identity get_identity(Context& context, const ScepPayload& payload, const Key& key) {
  const Device& device = context.device;
  // A Mac offers the identity that it has to any TLS host that asks, the SCEP server included.
  context.http.identity(device.kind == Kind::mac && device.identity ? &device.identity : nullptr);
  Identity identity = scep_enrol(context.http, for_device(payload, device), key,
                                 {scep_user_agent(device.kind), context.scep_segment},
                                 [&](const std::string& line) { context.say(device.label() + ": " + line); });
  context.say(device.label() + ": identity issued by '" +
              name_text(X509_get_issuer_name(identity.certificate.get())) + "' to '" +
              name_text(X509_get_subject_name(identity.certificate.get())) + "', valid until " +
              date_text(X509_get0_notAfter(identity.certificate.get())));
  return identity;
}

void take_settings(Device& device, const Profile& profile, const MdmPayload& mdm) {
  device.mdm = mdm;
  device.enrolment_profile = {profile.identifier, profile.uuid, profile.display_name};
  device.identity_payload = profile.identity()->identifier;
  device.roots.clear();
  for (const std::string& der : profile.roots)
    device.roots.push_back(to_pem(certificate_from_der(der).get()));
}

void make_channels(Device& device, const std::string& user) {
  if (device.channel.token.empty()) device.channel.token = random_bytes(32);
  device.channel.push_magic = uuid();
  device.channel.pending_report.clear();
  if (device.kind == Kind::iphone && device.unlock_token.empty()) device.unlock_token = random_bytes(1288);
  if (user.empty()) return;
  if (!has_capability(device.mdm, user_channels))
    throw Error(std::string("the profile's ServerCapabilities lack ") + user_channels +
                ": no channel for a user");
  device.user = Channel{User{uuid(), user, "User " + user}, random_bytes(32), uuid(), ""};
}

// What Apple's client compares when an installed enrolment profile is replaced.
void check_frozen(const Device& device, const Profile& profile, const MdmPayload& then) {
  const MdmPayload& now = device.mdm;
  if (profile.identifier != device.enrolment_profile.identifier)
    throw Error("the new profile's PayloadIdentifier differs from the installed enrolment profile's");
  if (then.topic != now.topic) throw Error("the new profile changes Topic");
  if (then.server_url != now.server_url) throw Error("the new profile changes ServerURL");
  if (then.checkin_url != now.checkin_url) throw Error("the new profile changes CheckInURL");
  if ((then.access_rights & ~now.access_rights) != 0) throw Error("the new profile's AccessRights grow");
  if (has_capability(then, user_channels) != has_capability(now, user_channels))
    throw Error(std::string("the new profile changes ") + user_channels);
}

namespace {

Identity get_identity(Context& context, const ScepPayload& payload) {
  return get_identity(context, payload, context.keys.take(payload.keysize, context.device.folder));
}

std::string summary(const Profile& profile, const MdmPayload& mdm) {
  return "topic " + mdm.topic + ", identity SCEP, " + (mdm.sign_message ? "TLS and Mdm-Signature" : "TLS") +
         ", " + std::to_string(profile.roots.size()) + " certificate(s) to trust, " +
         (profile.signer.empty() ? "not signed" : "signed by " + profile.signer);
}

void send_token_updates(Context& context) {
  Device& device = context.device;
  must_check_in(context.http, device, token_update_message(device, device.channel));
  device.enrolled = true;
  device.save();
  context.say(device.label() + ": TokenUpdate accepted, enrolled at " + device.mdm.server_url);
  if (!device.user) return;
  must_check_in(context.http, device, token_update_message(device, *device.user));
  context.say(device.label() + ": TokenUpdate of user " + device.user->user_name() + " accepted");
}

void announce(Context& context) {
  must_check_in(context.http, context.device, authenticate_message(context.device));
  context.say(context.device.label() + ": Authenticate accepted with the new identity");
  send_token_updates(context);
}

void renew(Context& context, const Profile& profile, const MdmPayload& mdm) {
  Device& device = context.device;
  check_frozen(device, profile, mdm);
  Device renewed = device;
  take_settings(renewed, profile, mdm);
  renewed.channel.push_magic = uuid();  // TokenUpdate may bring another one at any time
  // The connection of the session stays as it is where the device goes on using it.
  const bool apart = context.habits.old_session != OldSession::none;
  Http aside = connect(renewed);
  Http& http = apart ? aside : context.http;
  Context with_new{renewed, http, context.keys, context.say, context.scep_segment};
  http.trust(renewed.trust());
  renewed.identity = get_identity(with_new, *profile.identity());
  renewed.old_identity = device.identity;
  renewed.save_identity();
  device = std::move(renewed);
  device.save();
  Context as_new{device, http, context.keys, context.say, context.scep_segment};
  if (!context.habits.quiet_renewal) announce(as_new);
  if (apart) device.shown = device.old_identity;
}

}  // namespace

std::string scep_user_agent(Kind kind) {
  return std::string(kind == Kind::mac ? "mdmclient/1268.4" : "profiled/1.0") +
         " CFNetwork/1498.700.2 Darwin/23.6.0";
}

Profile fetch_profile(Http& http, const std::string& url, const std::string& user_agent) {
  if (url.find("://") == std::string::npos) return read_profile(read_file(url));
  if (url.starts_with("file://")) return read_profile(read_file(url.substr(7)));
  const Reply reply = http.perform({"profile", "GET", url, user_agent, "", {}});
  if (!reply.ok()) throw Error("no enrolment profile from the server: HTTP " + std::to_string(reply.status));
  if (!reply.content_type.starts_with("application/x-apple-aspen-config"))
    throw Error("the enrolment profile came with Content-Type '" + reply.content_type +
                "'; a device installs only application/x-apple-aspen-config");
  return read_profile(reply.body);
}

void enrol(Context& context, const Profile& profile, const std::string& user) {
  if (!profile.mdm) throw Error("the profile has no payload com.apple.mdm");
  context.say(context.device.label() + ": profile '" + profile.display_name +
              "': " + summary(profile, *profile.mdm));
  Device attempt = context.device;
  take_settings(attempt, profile, *profile.mdm);
  make_channels(attempt, user);
  attempt.enrolled = false;
  attempt.identity = {};
  Context trying{attempt, context.http, context.keys, context.say, context.scep_segment};
  context.http.trust(attempt.trust());
  attempt.identity =
      context.habits.borrowed ? context.habits.borrowed : get_identity(trying, *profile.identity());
  must_check_in(context.http, attempt, authenticate_message(attempt));
  context.say(attempt.label() + ": Authenticate accepted");
  context.device = std::move(attempt);
  context.device.save();
  context.device.save_identity();
  send_token_updates(context);
}

void install(Context& context, const std::string& bytes) {
  Device& device = context.device;
  const Profile profile = read_profile(bytes, &device.identity);
  if (profile.mdm) return renew(context, profile, *profile.mdm);
  for (const ScepPayload& payload : profile.scep) {
    const Identity identity = get_identity(context, payload);
    // The same payload again, without the MDM payload: the next request simply shows the new certificate.
    if (payload.identifier != device.identity_payload) continue;
    device.identity = identity;
    device.save_identity();
  }
  std::erase_if(device.profiles,
                [&](const InstalledProfile& p) { return p.identifier == profile.identifier; });
  device.profiles.push_back({profile.identifier, profile.uuid, profile.display_name});
  device.save();
}

OldSession old_session_from(const std::string& name) {
  if (name.empty()) return OldSession::none;
  if (name == "kept") return OldSession::kept;
  if (name == "resumed") return OldSession::resumed;
  throw Error("unknown kind of session '" + name + "'; known: kept, resumed");
}

void leave(Context& context) {
  Device& device = context.device;
  if (device.mdm.check_out_when_removed) {
    const Reply reply = check_in(context.http, device, to_xml(check_out_message(device)));  // best effort
    context.say(device.label() + ": CheckOut: HTTP " + std::to_string(reply.status));
  }
  device.enrolled = false;
  device.save();
}

}  // namespace device
