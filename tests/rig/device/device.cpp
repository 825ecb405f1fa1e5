#include "device.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "bytes.hpp"

namespace device {
namespace {

namespace fs = std::filesystem;
constexpr mode_t secret_file = 0600;

Dict to_dict(const InstalledProfile& profile) {
  return {{"identifier", profile.identifier}, {"uuid", profile.uuid}, {"display_name", profile.display_name}};
}

InstalledProfile installed_profile(const Dict& dict) {
  return {dict.string("identifier").value_or(""), dict.string("uuid").value_or(""),
          dict.string("display_name").value_or("")};
}

Dict to_dict(const Channel& channel) {
  Dict dict{{"token", Data{channel.token}},
            {"push_magic", channel.push_magic},
            {"pending_report", Data{channel.pending_report}}};
  if (channel.user) {
    dict.set("user_id", channel.user->id);
    dict.set("short_name", channel.user->short_name);
    dict.set("long_name", channel.user->long_name);
  }
  return dict;
}

Channel channel_from(const Dict& dict) {
  Channel channel;
  channel.token = dict.data("token").value_or("");
  channel.push_magic = dict.string("push_magic").value_or("");
  channel.pending_report = dict.data("pending_report").value_or("");
  if (const auto id = dict.string("user_id"))
    channel.user = User{*id, dict.string("short_name").value_or(""), dict.string("long_name").value_or("")};
  return channel;
}

Dict to_dict(const MdmPayload& mdm) {
  Array capabilities;
  for (const std::string& name : mdm.capabilities) capabilities.emplace_back(name);
  return {{"topic", mdm.topic},
          {"server_url", mdm.server_url},
          {"checkin_url", mdm.checkin_url},
          {"access_rights", mdm.access_rights},
          {"sign_message", mdm.sign_message},
          {"check_out_when_removed", mdm.check_out_when_removed},
          {"capabilities", capabilities}};
}

MdmPayload mdm_from(const Dict& dict) {
  MdmPayload mdm;
  mdm.topic = dict.string("topic").value_or("");
  mdm.server_url = dict.string("server_url").value_or("");
  mdm.checkin_url = dict.string("checkin_url").value_or("");
  mdm.access_rights = dict.integer("access_rights").value_or(0);
  mdm.sign_message = dict.boolean("sign_message").value_or(false);
  mdm.check_out_when_removed = dict.boolean("check_out_when_removed").value_or(false);
  if (const Array* names = dict.array("capabilities"))
    for (const Value& name : *names)
      if (name.string() != nullptr) mdm.capabilities.push_back(*name.string());
  return mdm;
}

void read_folder(Device& device) {
  const fs::path& folder = device.folder;
  if (fs::exists(folder / "key.pem") && fs::exists(folder / "cert.pem"))
    device.identity = make_identity(key_from_pem(read_file(folder / "key.pem")),
                                    certificate_from_pem(read_file(folder / "cert.pem")));
  if (fs::exists(folder / "old-key.pem") && fs::exists(folder / "old-cert.pem"))
    device.old_identity = make_identity(key_from_pem(read_file(folder / "old-key.pem")),
                                        certificate_from_pem(read_file(folder / "old-cert.pem")));
  if (fs::exists(folder / "ca/system.pem")) device.system_trust = read_file(folder / "ca/system.pem");
  for (int i = 1; fs::exists(folder / ("ca/profile-" + std::to_string(i) + ".pem")); ++i)
    device.roots.push_back(read_file(folder / ("ca/profile-" + std::to_string(i) + ".pem")));
}

void make_private_folder(const fs::path& folder) {
  if (fs::create_directories(folder)) fs::permissions(folder, fs::perms::owner_all);
}

constexpr const char* letters = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789";

}  // namespace

Kind kind_from(std::string_view name) {
  if (name == "mac") return Kind::mac;
  if (name == "iphone") return Kind::iphone;
  throw Error("unknown kind '" + std::string(name) + "'; known: mac, iphone");
}

std::string name_of(Kind kind) { return kind == Kind::mac ? "mac" : "iphone"; }

// Once a profile brought its own certificates, --ca-file no longer counts: a profile with a wrong or missing
// root then fails here as it would on a real device.
std::string Device::trust() const {
  if (roots.empty()) return system_trust;
  std::string pem;
  for (const std::string& root : roots) pem += root;
  return pem;
}

void Device::save() const {
  if (folder.empty()) return;
  make_private_folder(folder);
  Dict state{{"kind", name_of(kind)},
             {"udid", udid},
             {"serial", serial},
             {"name", name},
             {"enrolled", enrolled},
             {"mdm", to_dict(mdm)},
             {"enrolment_profile", to_dict(enrolment_profile)},
             {"identity_payload", identity_payload},
             {"signature_form", name_of(signature_form)},
             {"client_certificate", client_certificate},
             {"channel", to_dict(channel)},
             {"unlock_token", Data{unlock_token}},
             {"awaiting_configuration", awaiting_configuration},
             {"apns_log_offset", apns_log_offset}};
  if (user) state.set("user", to_dict(*user));
  Array installed;
  for (const InstalledProfile& profile : profiles) installed.emplace_back(to_dict(profile));
  state.set("profiles", installed);
  write_file(folder / "state.plist", to_xml(state), secret_file);
}

// Key before certificate: a device killed in between still has a pair that fits or an old certificate that
// libcrypto refuses at once, never a silent mixture.
void Device::save_identity() const {
  if (folder.empty()) return;
  make_private_folder(folder / "ca");
  if (old_identity) {
    write_file(folder / "old-key.pem", old_identity.key_pem, secret_file);
    write_file(folder / "old-cert.pem", old_identity.certificate_pem, secret_file);
  }
  write_file(folder / "key.pem", identity.key_pem, secret_file);
  write_file(folder / "cert.pem", identity.certificate_pem, secret_file);
  if (!system_trust.empty()) write_file(folder / "ca/system.pem", system_trust, secret_file);
  for (std::size_t i = 0; i < roots.size(); ++i)
    write_file(folder / ("ca/profile-" + std::to_string(i + 1) + ".pem"), roots[i], secret_file);
  fs::remove(folder / ("ca/profile-" + std::to_string(roots.size() + 1) + ".pem"));
}

Device new_device(Kind kind, const std::string& udid, const std::string& serial) {
  Device device;
  device.kind = kind;
  device.udid = !udid.empty() ? udid : kind == Kind::mac ? uuid() : "00008110-" + upper_hex(random_bytes(8));
  device.serial = serial.empty() ? random_text(10, letters) : serial;
  device.name = (kind == Kind::mac ? "Mac " : "iPhone ") + device.serial;
  return device;
}

bool has_device(const fs::path& folder) { return fs::exists(folder / "state.plist"); }

Device load_device(const fs::path& folder) {
  if (!has_device(folder))
    throw Error("no device in " + folder.string() +
                "; make one with: pomona-device enroll --url URL --state " + folder.string());
  const Dict state = parse_plist_dict(read_file(folder / "state.plist"));
  Device device;
  device.folder = folder;
  device.kind = kind_from(state.string("kind").value_or("mac"));
  device.udid = state.string("udid").value_or("");
  device.serial = state.string("serial").value_or("");
  device.name = state.string("name").value_or("");
  device.enrolled = state.boolean("enrolled").value_or(false);
  if (const Dict* mdm = state.dict("mdm")) device.mdm = mdm_from(*mdm);
  if (const Dict* profile = state.dict("enrolment_profile"))
    device.enrolment_profile = installed_profile(*profile);
  device.identity_payload = state.string("identity_payload").value_or("");
  device.signature_form = signature_form_from(state.string("signature_form").value_or("apple"));
  device.client_certificate = state.boolean("client_certificate").value_or(true);
  if (const Dict* channel = state.dict("channel")) device.channel = channel_from(*channel);
  if (const Dict* user = state.dict("user")) device.user = channel_from(*user);
  device.unlock_token = state.data("unlock_token").value_or("");
  device.awaiting_configuration = state.boolean("awaiting_configuration").value_or(false);
  device.apns_log_offset = state.integer("apns_log_offset").value_or(0);
  if (const Array* profiles = state.array("profiles"))
    for (const Value& profile : *profiles)
      if (profile.dict() != nullptr) device.profiles.push_back(installed_profile(*profile.dict()));
  read_folder(device);
  return device;
}

}  // namespace device
