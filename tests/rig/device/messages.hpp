// The check-in messages of a device, key by key as Apple documents them.
#pragma once
#include "device.hpp"

namespace device {

Dict authenticate_message(const Device& device);
Dict token_update_message(const Device& device, const Channel& channel);
Dict check_out_message(const Device& device);
Dict user_authenticate_message(const Device& device, const Channel& channel);
Dict set_bootstrap_token_message(const Device& device, const std::string& token);
Dict plain_message(const Device& device, const Channel& channel, const std::string& type);

// Status, UDID and, on a user channel, the user's keys; the rest is the command's.
Dict report(const Device& device, const Channel& channel, const std::string& status);

// What a model says about itself, also for DeviceInformation.
struct Model {
  const char* name;
  const char* model;
  const char* product;
  const char* os_version;
  const char* build;
};
Model model_of(Kind kind);

// Digits derived from the serial, so that a device always gives the same ones.
std::string imei_of(const Device& device);

}  // namespace device
