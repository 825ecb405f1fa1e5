// What a device makes for one SCEP enrolment: the certificate request and the temporary certificate that
// signs the messages (self-signed, CN a random UUID, the request's own key), both as Apple's client writes
// them.
#pragma once
#include <string>

#include "crypto.hpp"
#include "profile.hpp"

namespace device {

std::string make_csr(const ScepPayload& payload, EVP_PKEY* key, const EVP_MD* hash);  // DER
Identity make_temporary_signer(const Key& key, const EVP_MD* hash);

// messageData of CertPoll: SEQUENCE { issuer, subject }.
std::string issuer_and_subject(X509* ca, const std::string& csr);

// Upper-case hex SHA-1 of the public key.
std::string transaction_id(X509* signer);

}  // namespace device
