#include "messages.hpp"

#include "bytes.hpp"

namespace device {
namespace {

constexpr std::int64_t right_device_information = 16;
constexpr std::int64_t right_lock = 4;

void add_identifiers(Dict& message, const Device& device, const Channel& channel) {
  message.set("UDID", device.udid);
  if (!channel.user) return;
  message.set("UserID", channel.user->id);
  message.set("UserShortName", channel.user->short_name);
  message.set("UserLongName", channel.user->long_name);
}

}  // namespace

Model model_of(Kind kind) {
  if (kind == Kind::mac) return {"MacBook Pro", "MacBookPro18,3", "MacBookPro18,3", "14.6.1", "23G93"};
  return {"iPhone", "A2633", "iPhone14,5", "17.6.1", "21G93"};
}

std::string imei_of(const Device& device) {
  std::string digits = "35";
  for (const char c : digest(device.serial, EVP_sha256()).substr(0, 13))
    digits += static_cast<char>('0' + static_cast<unsigned char>(c) % 10);
  return digits;
}

Dict authenticate_message(const Device& device) {
  const Model model = model_of(device.kind);
  Dict message = plain_message(device, device.channel, "Authenticate");
  message.set("Topic", device.mdm.topic);
  if (device.kind == Kind::mac) {
    message.set("DeviceName", device.name);
    message.set("Model", model.model);
    message.set("ModelName", model.name);
    message.set("Challenge", Data{random_bytes(24)});  // undocumented, seen from macOS 10.12 on
  }
  if (device.kind == Kind::mac || (device.mdm.access_rights & right_device_information) != 0) {
    message.set("BuildVersion", model.build);
    message.set("OSVersion", model.os_version);
    message.set("ProductName", model.product);
  }
  if ((device.mdm.access_rights & right_device_information) == 0) return message;
  message.set("SerialNumber", device.serial);
  if (device.kind == Kind::iphone) message.set("IMEI", imei_of(device));
  if (device.kind == Kind::iphone) message.set("MEID", imei_of(device).substr(0, 14));
  return message;
}

Dict token_update_message(const Device& device, const Channel& channel) {
  Dict message = plain_message(device, channel, "TokenUpdate");
  message.set("Topic", device.mdm.topic);
  message.set("Token", Data{channel.token});
  message.set("PushMagic", channel.push_magic);
  if (channel.user) {
    message.set("NotOnConsole", false);
    return message;
  }
  message.set("AwaitingConfiguration", device.awaiting_configuration);
  if (device.kind == Kind::iphone && (device.mdm.access_rights & right_lock) != 0 &&
      !device.unlock_token.empty())
    message.set("UnlockToken", Data{device.unlock_token});
  return message;
}

Dict check_out_message(const Device& device) {
  Dict message = plain_message(device, device.channel, "CheckOut");
  message.set("Topic", device.mdm.topic);
  return message;
}

Dict user_authenticate_message(const Device& device, const Channel& channel) {
  return {{"MessageType", "UserAuthenticate"},
          {"UDID", device.udid},
          {"UserID", channel.user ? channel.user->id : uuid()}};
}

Dict set_bootstrap_token_message(const Device& device, const std::string& token) {
  Dict message = plain_message(device, device.channel, "SetBootstrapToken");
  message.set("AwaitingConfiguration", device.awaiting_configuration);
  message.set("BootstrapToken", Data{token});
  return message;
}

Dict plain_message(const Device& device, const Channel& channel, const std::string& type) {
  Dict message{{"MessageType", type}};
  add_identifiers(message, device, channel);
  return message;
}

Dict report(const Device& device, const Channel& channel, const std::string& status) {
  Dict message{{"Status", status}};
  add_identifiers(message, device, channel);
  if (channel.user) message.set("NotOnConsole", false);
  return message;
}

}  // namespace device
