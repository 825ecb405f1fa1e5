#include "sys/cms.hpp"

#include <ctime>

#include <openssl/cms.h>
#include <openssl/objects.h>

#include "sys/cms_head.hpp"
#include "sys/openssl.hpp"

namespace sys {

namespace {

constexpr std::size_t kLargestDetached = 32U << 10U;

ossl::Cms parse(std::string_view bytes) {
  check_signed_data_head(bytes);
  auto const bio = ossl::memory_bio(bytes);
  ossl::Cms cms(d2i_CMS_bio(bio.get(), nullptr));
  if (!cms) ossl::fail(Fault::bad_request, "read CMS");
  if (OBJ_obj2nid(CMS_get0_type(cms.get())) != NID_pkcs7_signed)
    throw Error(Fault::bad_request, "read CMS: not SignedData");
  return cms;
}

ossl::Cms parse_small(std::string_view bytes) {
  if (bytes.size() > kLargestDetached) throw Error(Fault::bad_request, "CMS: larger than 32 KiB");
  return parse(bytes);
}

bool digest_allowed(CMS_SignerInfo* info) {
  X509_ALGOR* digest = nullptr;
  X509_ALGOR* signature = nullptr;
  CMS_SignerInfo_get0_algs(info, nullptr, nullptr, &digest, &signature);
  ASN1_OBJECT const* object = nullptr;
  X509_ALGOR_get0(&object, nullptr, nullptr, digest);
  switch (OBJ_obj2nid(object)) {
    case NID_sha1:
    case NID_sha224:
    case NID_sha256:
    case NID_sha384:
    case NID_sha512:
      return true;
    default:
      return false;
  }
}

CMS_SignerInfo* only_signer(CMS_ContentInfo* cms) {
  STACK_OF(CMS_SignerInfo)* infos = CMS_get0_SignerInfos(cms);
  if (sk_CMS_SignerInfo_num(infos) != 1)
    throw Error(Fault::unauthenticated, "CMS: exactly one signer is needed");
  CMS_SignerInfo* info = sk_CMS_SignerInfo_value(infos, 0);
  if (!digest_allowed(info)) throw Error(Fault::unauthenticated, "CMS: digest not allowed");
  return info;
}

std::optional<Time> signing_time(CMS_SignerInfo* info) {
  int const at = CMS_signed_get_attr_by_NID(info, NID_pkcs9_signingTime, -1);
  if (at < 0) return std::nullopt;
  ASN1_TYPE const* value = X509_ATTRIBUTE_get0_type(CMS_signed_get_attr(info, at), 0);
  if (value == nullptr || (value->type != V_ASN1_UTCTIME && value->type != V_ASN1_GENERALIZEDTIME))
    return std::nullopt;
  std::tm parts{};
  if (ASN1_TIME_to_tm(value->value.asn1_string, &parts) != 1) return std::nullopt;
  return from_unix(timegm(&parts));
}

VerifiedSigner signer_of(CMS_ContentInfo* cms, CMS_SignerInfo* info) {
  // Filled in by CMS_verify; the stack is ours, the certificates are not.
  STACK_OF(X509)* signers = CMS_get0_signers(cms);
  if (signers == nullptr || sk_X509_num(signers) != 1) {
    sk_X509_free(signers);
    throw Error(Fault::unauthenticated, "CMS: the signer's certificate is not inside");
  }
  X509* cert = sk_X509_value(signers, 0);
  X509_up_ref(cert);
  sk_X509_free(signers);
  return {Cert(cert), signing_time(info), CMS_signed_get_attr_count(info) > 0};
}

}  // namespace

Cert claimed_signer(std::string_view bytes) {
  auto const cms = parse_small(bytes);
  CMS_SignerInfo* info = only_signer(cms.get());
  if (auto cert = embedded_signer(cms.get(), info)) return *std::move(cert);
  throw Error(Fault::unauthenticated, "CMS: the signer's certificate is not inside");
}

VerifiedSigner verify_detached(std::string_view bytes, std::string_view content) {
  auto const cms = parse_small(bytes);
  if (CMS_is_detached(cms.get()) != 1)
    throw Error(Fault::unauthenticated, "CMS: a detached signature is needed");
  CMS_SignerInfo* info = only_signer(cms.get());
  auto const body = ossl::memory_bio(content);
  // Never with CMS_NO_CONTENT_VERIFY or CMS_NO_ATTR_VERIFY: where there are signed attributes, only
  // messageDigest ties them to the body.
  if (CMS_verify(cms.get(), nullptr, nullptr, body.get(), nullptr, CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY) !=
      1) {
    ossl::fail(Fault::unauthenticated, "CMS: the signature does not fit the content");
  }
  return signer_of(cms.get(), info);
}

VerifiedSigner verify_attached(std::string_view bytes, std::string& content) {
  auto const cms = parse(bytes);
  CMS_SignerInfo* info = only_signer(cms.get());
  auto const out = ossl::empty_bio();
  if (CMS_is_detached(cms.get()) == 1 || CMS_verify(cms.get(), nullptr, nullptr, nullptr, out.get(),
                                                    CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY) != 1) {
    ossl::fail(Fault::unauthenticated, "CMS: the signature does not fit the content");
  }
  content = ossl::bio_bytes(out.get());
  return signer_of(cms.get(), info);
}

std::string sign_attached(std::string_view content, Cert const& signer, Key const& key,
                          std::vector<Cert> const& chain) {
  ossl::CertStack const others(sk_X509_new_null());
  for (auto const& cert : chain) {
    X509_up_ref(cert.raw());
    sk_X509_push(others.get(), cert.raw());
  }
  auto const in = ossl::memory_bio(content);
  ossl::Cms const cms(CMS_sign(signer.raw(), key.raw(), others.get(), in.get(), CMS_BINARY | CMS_NOSMIMECAP));
  if (!cms) ossl::fail(Fault::internal, "sign");
  return ossl::to_der<CMS_ContentInfo>(cms.get(), i2d_CMS_ContentInfo);
}

std::string encrypt_to(std::string_view content, Cert const& recipient) {
  ossl::CertStack const recipients(sk_X509_new_null());
  X509_up_ref(recipient.raw());
  sk_X509_push(recipients.get(), recipient.raw());
  auto const in = ossl::memory_bio(content);
  ossl::Cms const cms(CMS_encrypt(recipients.get(), in.get(), EVP_aes_256_cbc(), CMS_BINARY));
  if (!cms) ossl::fail(Fault::bad_request, "encrypt to certificate");
  return ossl::to_der<CMS_ContentInfo>(cms.get(), i2d_CMS_ContentInfo);
}

}  // namespace sys
