#include "sys/digest.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

#include "sys/openssl.hpp"

namespace sys {

namespace {

std::string digest(std::string_view bytes, EVP_MD const* md) {
  std::string out(static_cast<std::size_t>(EVP_MD_get_size(md)), '\0');
  if (EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()), nullptr, md,
                 nullptr) != 1) {
    ossl::fail(Fault::internal, "hash");
  }
  return out;
}

}  // namespace

std::string sha1(std::string_view bytes) { return digest(bytes, EVP_sha1()); }
std::string sha256(std::string_view bytes) { return digest(bytes, EVP_sha256()); }

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  std::string out(32, '\0');
  unsigned length = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), ossl::data(bytes), bytes.size(),
           reinterpret_cast<unsigned char*>(out.data()), &length) == nullptr) {
    ossl::fail(Fault::internal, "HMAC");
  }
  return out;
}

std::string hkdf_sha256(std::string_view key, std::string_view info, std::size_t length) {
  ossl::KeyCtx const context(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr));
  std::string out(length, '\0');
  std::size_t size = length;
  // OpenSSL 3.0 refuses a null key of length 0 only; ours are never empty.
  if (!context || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_hkdf_md(context.get(), EVP_sha256()) != 1 ||
      EVP_PKEY_CTX_set1_hkdf_key(context.get(), ossl::data(key), static_cast<int>(key.size())) != 1 ||
      EVP_PKEY_CTX_add1_hkdf_info(context.get(), ossl::data(info), static_cast<int>(info.size())) != 1 ||
      EVP_PKEY_derive(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size) != 1 ||
      size != length) {
    ossl::fail(Fault::internal, "derive key");
  }
  return out;
}

}  // namespace sys
