// Enrolment: fetch the profile, check it, get the identity that it describes, then Authenticate and
// TokenUpdate. The same path serves a renewal that comes by InstallProfile. Errors: device::Error; the device
// is then left as it was, not enrolled or still enrolled with its old identity.
#pragma once
#include "device.hpp"
#include "http.hpp"
#include "keys.hpp"
#include "scep.hpp"

namespace device {

// url: https, file:// or a plain path.
Profile fetch_profile(Http& http, const std::string& url, const std::string& user_agent);

// Everything that is needed to act for one device.
struct Context {
  Device& device;
  Http& http;
  KeyPool& keys;
  const Say& say;
  std::size_t scep_segment = ScepHabits().segment;
};

void enrol(Context& context, const Profile& profile, const std::string& user);

// Installs a profile that came by command. With an MDM payload: renewal of the enrolment.
void install(Context& context, const std::string& bytes);

// Ends management as the removal of the enrolment profile does.
void leave(Context& context);

std::string scep_user_agent(Kind kind);

}  // namespace device
