// Owners for libcrypto's objects, keys and the device identity. Errors: device::Error with libcrypto's
// reason.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "error.hpp"

namespace device {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;
using Cms = std::unique_ptr<CMS_ContentInfo, Freed<CMS_ContentInfo_free>>;
using Csr = std::unique_ptr<X509_REQ, Freed<X509_REQ_free>>;
using Pkcs7 = std::unique_ptr<PKCS7, Freed<PKCS7_free>>;
using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;

// A private key with the certificate that names it, and the text forms that TLS wants.
struct Identity {
  Key key;
  Certificate certificate;
  std::string key_pem;
  std::string certificate_pem;
  explicit operator bool() const { return key != nullptr && certificate != nullptr; }
};

Error crypto_error(const std::string& what);  // adds and clears libcrypto's last reason
Bio memory_bio();
Bio memory_bio(std::string_view bytes);  // reads bytes, which must outlive it
std::string content_of(BIO* bio);

Key generate_rsa(int bits);
Key key_from_pem(std::string_view pem);
std::string to_pem(EVP_PKEY* key);
Certificate certificate_from_pem(std::string_view pem);
Certificate certificate_from_der(std::string_view der);
std::string to_pem(X509* certificate);
std::string to_der(X509* certificate);
Identity make_identity(Key key, Certificate certificate);

std::string digest(std::string_view bytes, const EVP_MD* hash);
std::string common_name(const X509* certificate);
std::string name_text(const X509_NAME* name);
std::string date_text(const ASN1_TIME* time);  // 2026-05-01 10:00:00 UTC

}  // namespace device
