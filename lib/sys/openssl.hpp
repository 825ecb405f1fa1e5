// Owning handles of OpenSSL objects, and its error queue as text. Only files of this room include it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include "sys/error.hpp"

namespace sys::ossl {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
template <typename T, auto Free>
using Handle = std::unique_ptr<T, Deleter<Free>>;

inline void free_cert_stack(STACK_OF(X509) * stack) noexcept { sk_X509_pop_free(stack, X509_free); }

using Bio = Handle<BIO, BIO_free_all>;
using Cms = Handle<CMS_ContentInfo, CMS_ContentInfo_free>;
using X509Ptr = Handle<X509, X509_free>;
using ReqPtr = Handle<X509_REQ, X509_REQ_free>;
using KeyPtr = Handle<EVP_PKEY, EVP_PKEY_free>;
using NamePtr = Handle<X509_NAME, X509_NAME_free>;
using KeyCtx = Handle<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using MdCtx = Handle<EVP_MD_CTX, EVP_MD_CTX_free>;
using CertStack = Handle<STACK_OF(X509), free_cert_stack>;

// What OpenSSL says went wrong, "no reason given" otherwise; empties the queue of this thread.
std::string take_errors();
[[noreturn]] void fail(Fault fault, std::string const& doing);

Bio memory_bio(std::string_view bytes);  // reads `bytes`, which must outlive it
Bio empty_bio();
std::string bio_bytes(BIO* bio);

inline unsigned char const* data(std::string_view bytes) noexcept {
  return reinterpret_cast<unsigned char const*>(bytes.data());
}

// DER of any object with an i2d function.
template <typename T>
std::string to_der(T const* object, int (*encode)(T const*, unsigned char**)) {
  int const length = encode(object, nullptr);
  if (length <= 0) fail(Fault::internal, "encode DER");
  std::string out(static_cast<std::size_t>(length), '\0');
  auto* cursor = reinterpret_cast<unsigned char*>(out.data());
  encode(object, &cursor);
  return out;
}

}  // namespace sys::ossl
