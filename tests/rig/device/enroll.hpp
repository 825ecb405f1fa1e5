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

// What of a session goes on after a renewal over the connection that shows the old identity.
enum class OldSession {
  none,     // the next request opens a new one and shows the new identity
  kept,     // the connection is still open
  resumed,  // a new connection resumes the TLS session
};
OldSession old_session_from(const std::string& name);  // "", kept, resumed

struct Habits {
  bool quiet_renewal = false;  // neither Authenticate nor TokenUpdate after a renewal
  OldSession old_session = OldSession::none;
  Identity borrowed;  // enrols with this identity instead of asking for one
};

// Everything that is needed to act for one device.
struct Context {
  Device& device;
  Http& http;
  KeyPool& keys;
  const Say& say;
  std::size_t scep_segment = ScepHabits().segment;
  Habits habits = {};
};

void enrol(Context& context, const Profile& profile, const std::string& user);

// Installs a profile that came by command. With an MDM payload: renewal of the enrolment.
void install(Context& context, const std::string& bytes);

// Ends management as the removal of the enrolment profile does.
void leave(Context& context);

// The steps of the above, for who takes them one by one.
Identity get_identity(Context& context, const ScepPayload& payload, const Key& key);  // Refusal: the CA's no
void take_settings(Device& device, const Profile& profile, const MdmPayload& mdm);
void make_channels(Device& device, const std::string& user);
void check_frozen(const Device& device, const Profile& profile, const MdmPayload& then);

std::string scep_user_agent(Kind kind);

}  // namespace device
