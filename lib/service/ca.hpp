// The device CA: making it, and its keys for those who may use them.
//
// A CA is two certificates: the issuing CA (RSA or EC; keyCertSign and cRLSign only, path length 0) and an RA
// (RSA, for SCEP clients encrypt to it) that the CA issued, with which SCEP signs and decrypts, so that the
// CA's key does not answer strangers. Private keys are secrets of domain ca: only who has that key file and
// that view can load them. For clients that know nothing of RAs there is the one-certificate CA (RSA;
// digitalSignature and keyEncipherment besides): it does both by itself, and there is no RA.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/config.hpp"
#include "store/certificates.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/x509.hpp"

namespace service {

enum class CaKeyKind { rsa_2048, rsa_3072, rsa_4096, p_256, p_384 };
std::optional<CaKeyKind> find_ca_key_kind(std::string_view name);  // "rsa-2048", "p-256", ...

struct NewCa {
  std::string name = "device-ca";  // a-z, 0-9 and '-': it stands in URLs
  std::string organization;        // O of every certificate; the CN of the CA begins with it
  int days = 3650;
  CaKeyKind key = CaKeyKind::rsa_2048;
  bool one_certificate = false;
};

struct CaInit {
  bool created = false;  // false: there is an active CA, which is in `ca`
  store::CertificateRow ca;
};

// Makes keys, certificates and rows in one transaction, under a lease. Error{bad_request} for a name or
// lifetime that cannot be and for one certificate with an EC key, Error{conflict} for a name that is taken.
CaInit init_ca(sys::Db& db, sys::KeyRing const& ca_domain, NewCa const& wanted, std::string const& who,
               sys::Time now);

// All CA certificates whose identities are believed, as one PEM bundle: nginx's ssl_client_certificate.
// Error{not_found} when there is none.
std::string trusted_ca_pem(sys::Db& db, store::CertView view);

// The certificates of kind ca and ra, or those of one CA by name. Error{not_found} for an unknown name.
std::vector<store::CertificateRow> list_cas(sys::Db& db, store::CertView view,
                                            std::optional<std::string> const& name);

// Whether this CA signs and decrypts SCEP messages itself, without an RA.
bool is_one_certificate(sys::Cert const& ca);

struct CaKey {
  std::int64_t id = 0;  // of the certificate's row
  sys::Cert cert;
  sys::Key key;
};

// Error{internal} when the key does not open or does not fit.
CaKey load_ca_key(sys::Db& db, sys::KeyRing const& ca_domain, store::CertificateRow const& row);

}  // namespace service
