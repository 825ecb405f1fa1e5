// The vendor's side: an MDM vendor certificate of Apple's, and the requests signed with it for this server or
// for customers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proto/push_request.hpp"
#include "service/push_pair.hpp"
#include "store/certificates.hpp"
#include "sys/csr.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

struct VendorImport {
  std::string sha256;
  bool unchanged = false;                         // it was the active one already
  std::optional<store::CertificateRow> replaced;  // the active one before, kept
};
// Makes it the one that signs. A key that waited in staging for it leaves there.
VendorImport import_vendor_certificate(sys::Db& db, sys::KeyRing const& push_key, KeyedCert const& vendor,
                                       std::string const& who, sys::Time now);

struct SigningWish {
  std::string customer;  // for the record; "" where it is the server's own
  sys::SignatureDigest digest = sys::SignatureDigest::sha256;
  std::vector<sys::Cert> pool;  // Apple's intermediates and root: chosen by issuer
};
// The file for Apple's portal, checked as the portal would, and an event with customer and request. Throws
// Error{not_found} without a vendor certificate or without its issuers, Error{conflict} for what the portal
// would refuse.
std::string sign_push_request(sys::Db& db, sys::KeyRing const& push_key, sys::Csr const& csr,
                              SigningWish const& wish, std::string const& who, sys::Time now);

// check_push_request, and whether the chain's root is one of `roots` (not looked at where there are none).
std::vector<proto::PushRequestFinding> verify_push_request(std::string_view file,
                                                           std::vector<sys::Cert> const& roots,
                                                           sys::Time now);
// What is wrong, in sentences; "" when nothing is.
std::string wrong_findings(std::vector<proto::PushRequestFinding> const& findings);

}  // namespace service
