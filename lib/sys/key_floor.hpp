// The floor under keys and signatures that strangers make. OpenSSL itself accepts RSA-512, an exponent of 3
// and MD5.
//
// RSA of 2048 to 8192 bits with the exponent 65537, as the CA/Browser Forum asks and Boulder checks: no small
// prime factor, no two primes so close that Fermat's method finds them, no fingerprint of the ROCA weakness
// (CVE-2017-15361). Other kinds of key are refused: SCEP encrypts the certificate to the key that asks for
// it. Signatures: RSASSA-PKCS1-v1_5 or PSS over SHA-256, SHA-384 or SHA-512; SHA-1 where old algorithms are
// allowed. Answers are for the local log; nullopt: good.
#pragma once

#include <optional>
#include <string>

#include "sys/key.hpp"

struct X509_algor_st;

namespace sys {

// What scep-allow-des decides: SHA-1, 3DES and single DES, for clients that know nothing better.
enum class OldAlgorithms { refused, allowed };

std::optional<std::string> key_weakness(Key const& key);

// The digest (OpenSSL's NID) of an RSA signature with this AlgorithmIdentifier; NID_undef for any other
// signature, and for PSS with a mask that is made with another digest.
int rsa_signature_digest(X509_algor_st const* algorithm);

bool is_good_digest(int nid, OldAlgorithms old) noexcept;

std::string algorithm_name(int nid);

}  // namespace sys
