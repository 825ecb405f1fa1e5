// What the messages of SCEP carry beside a certification request (RFC 8894 sections 3.3.3 and 3.3.4): the
// names by which a certificate is asked for.
//
// Pure functions on hostile bytes; the caller bounds them. All bytes must be consumed. Error{bad_request} for
// anything else.
#pragma once

#include <string>
#include <string_view>

namespace sys {

// CertPoll. Names as they were sent (DER).
struct IssuerAndSubject {
  std::string issuer_der;
  std::string subject_der;
};
IssuerAndSubject read_issuer_and_subject(std::string_view der);

// GetCert and GetCRL (RFC 5652 section 10.2.4).
struct IssuerAndSerial {
  std::string issuer_der;
  std::string serial;  // unsigned big-endian bytes, as Cert::serial()
};
IssuerAndSerial read_issuer_and_serial(std::string_view der);

// Whether two names say the same: case, runs of spaces and string types do not count (RFC 5280 section 7.1).
// False when one of them is no name.
bool same_name(std::string_view der, std::string_view other_der);

}  // namespace sys
