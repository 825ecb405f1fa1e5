// The certificates that a TLS server shows, leaf first. Nothing of them is checked: who asks wants to see
// what is there, expired or foreign. Nothing is sent after the handshake. Ten seconds at most;
// Error{unavailable} when no handshake came about.
#pragma once

#include <string>
#include <vector>

#include "sys/x509.hpp"

namespace sys {

std::vector<Cert> served_chain(std::string const& https_url);

}  // namespace sys
