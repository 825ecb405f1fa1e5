// What a device says about itself when it is asked: plausible, constant for one device.
#pragma once
#include "device.hpp"

namespace device {

std::optional<Value> device_property(const Device& device, const std::string& query);  // of DeviceInformation
Dict security_info(const Device& device);
Array application_list(const Device& device);
Array certificate_list(const Device& device);
Array profile_list(const Device& device);

}  // namespace device
