// Who depends on a certificate: counts of enrolled devices by push topic and by issuer of their identity.
//
// Looks at whole tables; for reports and checks by the `pomona` command and pomona-maintain, not for
// requests.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/certificates.hpp"
#include "sys/mariadb.hpp"

namespace store {

std::map<std::string, std::int64_t> devices_by_topic(sys::Db& db);    // current device channels
std::map<std::int64_t, std::int64_t> devices_by_issuer(sys::Db& db);  // id of the CA's row -> devices
std::int64_t enrolled_devices(sys::Db& db);

// The identities in force of one CA (issued, not replaced, of devices that are enrolled or not seen yet).
struct IdentitySummary {
  std::int64_t issuer_id = 0;
  std::int64_t in_force = 0;
  std::int64_t unseen = 0;  // of these: never seen at /mdm
  sys::Time not_before;     // of the one that ends first
  sys::Time not_after;
};
std::vector<IdentitySummary> summarise_identities(sys::Db& db);

// Each of them with the id of its device; the one that ends first comes first.
struct DeviceIdentity {
  CertificateRow row;
  std::optional<std::string> external_id;
};
std::vector<DeviceIdentity> identities_in_force(sys::Db& db, std::int64_t limit);

}  // namespace store
