// mdmcert.download: a vendor certificate as a service, for organisations without their own.
//
// The request goes there, the signed one comes back by e-mail, encrypted to a certificate made for it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proto/push_request.hpp"
#include "service/config.hpp"
#include "sys/csr.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

// Makes key and request, and a key for the answer, stores both, then asks. Throws Error{not_found} where
// mdmcert-key-file is not set, Error{upstream} with the reason for which the service refused (then nothing is
// left in staging), Error{unavailable} where it does not answer: the keys are kept, for it may have taken the
// request all the same.
sys::Csr request_from_mdmcert(sys::Db& db, sys::KeyRing const& push_key, Config const& config,
                              sys::NameParts const& subject, std::string const& email, std::string const& who,
                              sys::Time now);

struct MdmcertAnswer {
  std::string request;       // the file for Apple's portal
  sys::Cert vendor;          // whose signature it bears
  bool key_is_here = false;  // in staging: what Apple issues for it can be imported
  std::vector<proto::PushRequestFinding> findings;
};
// Throws Error{not_found} when it is for a key that is not here, Error{conflict} when the vendor certificate
// has expired: Apple's portal would refuse it.
MdmcertAnswer decrypt_mdmcert(sys::Db& db, sys::KeyRing const& push_key, std::string_view file,
                              sys::Time now);

}  // namespace service
