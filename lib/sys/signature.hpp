// RSASSA-PKCS1-v1_5 signatures over bytes, as Apple's push certificate requests have them.
#pragma once

#include <string>
#include <string_view>

#include "sys/key.hpp"

namespace sys {

enum class SignatureDigest { sha256, sha1 };

// Error{bad_request} for a key that is not RSA.
std::string sign_rsa(Key const& key, SignatureDigest digest, std::string_view bytes);
bool verify_rsa(Key const& key, SignatureDigest digest, std::string_view bytes, std::string_view signature);

}  // namespace sys
