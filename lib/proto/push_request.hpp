// The push certificate request that Apple's portal takes: base64 of an XML plist with three strings, made by
// an MDM vendor for a customer's certificate request; and how mdmcert.download hands one out. Pure.
//
// Source: Apple, "Setting Up Push Notifications for Your MDM Customers". Files come from admins, vendors and
// e-mail, and are untrusted: at most kLargestPushRequest bytes are read. Errors: Error{bad_request} in words
// for an admin.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sys/signature.hpp"
#include "sys/time.hpp"
#include "sys/x509.hpp"

namespace proto {

inline constexpr std::size_t kLargestPushRequest = 256U << 10U;

// The file to upload, one line without an end of line. `chain`: leaf first, down to the root.
std::string write_push_request(std::string_view csr_der, std::vector<sys::Cert> const& chain,
                               std::string_view signature);

// The three values as they stand in the file.
struct PushRequestText {
  std::string csr;         // PushCertRequestCSR: base64 of DER
  std::string chain;       // PushCertCertificateChain: PEM, leaf first
  std::string signature;   // PushCertSignature: base64
  bool plain_xml = false;  // the plist itself instead of its base64
};
PushRequestText read_push_request(std::string_view file);

// The certificates of `chain`, leaf first.
std::vector<sys::Cert> push_request_chain(PushRequestText const& request);

// What was looked at, in order, good or wrong, as sentences. Everything good: the portal should take it.
struct PushRequestFinding {
  bool good = false;
  std::string text;
};
std::vector<PushRequestFinding> check_push_request(std::string_view file, sys::Time now);

// Vendor first, then issuer by issuer out of `pool` to a self-signed root, by name and signature; of several
// that fit, one valid at `now` and good longest. What could not be found ends the chain: see complete().
std::vector<sys::Cert> build_vendor_chain(sys::Cert const& vendor, std::vector<sys::Cert> const& pool,
                                          sys::Time now);
bool is_complete_chain(std::vector<sys::Cert> const& chain);

// mdmcert.download sends hex text of a CMS EnvelopedData; its DER or BER bytes.
std::string read_encrypted_request(std::string_view file);

// By their first bytes alone: to tell an admin what he has in hand.
bool looks_like_push_request(std::string_view file);
bool looks_like_encrypted_request(std::string_view file);

}  // namespace proto
