// Sends MDM messages as a device does: PUT, Apple's content types, identity by TLS client certificate and,
// where the profile says SignMessage, by Mdm-Signature. A reply that makes a real device leave management
// (401, or 403 with com.apple.unrecognized.device) is a device::Error after the device was marked as no
// longer enrolled.
#pragma once
#include "device.hpp"
#include "http.hpp"

namespace device {

Http connect(const Device& device, Samples* samples = nullptr);

Reply check_in(Http& http, Device& device, const std::string& body);  // to CheckInURL
Reply tell_status(Http& http, Device& device, const std::string& body,
                  const std::string& phase);  // to ServerURL

// The reply of a check-in that must succeed; anything but 2xx is a device::Error.
Reply must_check_in(Http& http, Device& device, const Dict& message);

std::string reply_summary(const Reply& reply);  // HTTP 400, "Bad Request"

}  // namespace device
