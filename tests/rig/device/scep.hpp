// The SCEP client: gets the identity that a com.apple.security.scep payload describes, in the order and with
// the choices of Apple's client (GetCACert, GetCACaps, PKIOperation; POST and AES only where the capabilities
// literally say so; messageType always 19; polling while PENDING). Errors: device::Error.
#pragma once
#include <functional>
#include <string>

#include "crypto.hpp"
#include "http.hpp"
#include "profile.hpp"

namespace device {

using Say = std::function<void(const std::string&)>;  // one line for people

struct ScepHabits {
  std::string user_agent;
  // Longest piece of a constructed OCTET STRING. Messages of real devices arrive in one piece (servers that
  // know no more than one serve them); smaller values try a server's BER reader harder.
  std::size_t segment = std::size_t{64} << 10U;
};

Identity scep_enrol(Http& http, const ScepPayload& payload, const Key& key, const ScepHabits& habits,
                    const Say& say);

}  // namespace device
