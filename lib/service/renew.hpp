// Queueing the renewal of an identity: a command that pomona-mdm renders when the device fetches it. No
// secret is needed for it.
//
// Error{not_found} when no such device is enrolled or its profile is not known; Error{conflict} when the
// device could not fetch it: frozen, or its identity expired so long ago that it is refused.
#pragma once

#include <string>
#include <string_view>

#include "service/config.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

struct RenewalWish {
  std::string id;  // external id of the device, or the uuid of its enrolment
  bool push = true;
  std::string who;
};

struct QueuedRenewal {
  std::string external_id;
  std::string command_uuid;
  bool waited = false;  // it was queued before and is not answered yet; one at a time
};

QueuedRenewal queue_renewal(sys::Db& db, Config const& config, RenewalWish const& wish, sys::Time now);

}  // namespace service
