#include <openssl/objects.h>

#include "sys/cms_scep.hpp"
#include "sys/openssl.hpp"
#include "sys/scep_attributes.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

constexpr std::size_t kNonceBytes = 16;
constexpr std::string_view kCertRep = "3";
constexpr std::string_view kSuccess = "0";
constexpr std::string_view kFailure = "2";

using Object = ossl::Handle<ASN1_OBJECT, ASN1_OBJECT_free>;
using Pkcs7 = ossl::Handle<PKCS7, PKCS7_free>;

EVP_MD const* evp(ScepDigest digest) {
  switch (digest) {
    case ScepDigest::sha1:
      return EVP_sha1();
    case ScepDigest::sha384:
      return EVP_sha384();
    case ScepDigest::sha512:
      return EVP_sha512();
    case ScepDigest::sha256:
      break;
  }
  return EVP_sha256();
}

EVP_CIPHER const* evp(ScepCipher cipher) {
  switch (cipher) {
    case ScepCipher::des3:
      return EVP_des_ede3_cbc();
    case ScepCipher::aes192:
      return EVP_aes_192_cbc();
    case ScepCipher::aes256:
      return EVP_aes_256_cbc();
    case ScepCipher::des:  // nothing is encrypted with it
    case ScepCipher::aes128:
      break;
  }
  return EVP_aes_128_cbc();
}

void add(CMS_SignerInfo* info, char const* oid, int type, std::string_view value) {
  Object const object(OBJ_txt2obj(oid, 1));
  if (CMS_signed_add1_attr_by_OBJ(info, object.get(), type, value.data(), static_cast<int>(value.size())) !=
      1)
    ossl::fail(Fault::internal, "SCEP reply: attribute");
}

// Signs `content` (which may be empty, but is there) with the attributes that every CertRep has.
template <typename AddMore>
std::string sign_reply(ScepReply const& reply, std::string_view status, std::string_view content,
                       AddMore&& add_more) {
  constexpr unsigned kFlags = CMS_PARTIAL | CMS_BINARY | CMS_NOSMIMECAP;
  ossl::Cms const cms(CMS_sign(nullptr, nullptr, nullptr, nullptr, kFlags));
  CMS_SignerInfo* info =
      cms ? CMS_add1_signer(cms.get(), reply.signer.raw(), reply.key.raw(), evp(reply.digest), kFlags)
          : nullptr;
  if (info == nullptr) ossl::fail(Fault::internal, "SCEP reply: sign");
  add(info, scep_oid::kMessageType, V_ASN1_PRINTABLESTRING, kCertRep);
  add(info, scep_oid::kPkiStatus, V_ASN1_PRINTABLESTRING, status);
  add(info, scep_oid::kTransactionId, V_ASN1_PRINTABLESTRING, reply.transaction_id);
  add(info, scep_oid::kRecipientNonce, V_ASN1_OCTET_STRING, reply.recipient_nonce);
  add(info, scep_oid::kSenderNonce, V_ASN1_OCTET_STRING, random_bytes(kNonceBytes));
  add_more(info);
  auto const in = ossl::memory_bio(content);
  if (CMS_final(cms.get(), in.get(), nullptr, kFlags) != 1) ossl::fail(Fault::internal, "SCEP reply: sign");
  return ossl::to_der<CMS_ContentInfo>(cms.get(), i2d_CMS_ContentInfo);
}

}  // namespace

std::string scep_success(ScepReply const& reply, Cert const& issued, Cert const& recipient,
                         ScepCipher cipher) {
  std::string const certs = certs_only({issued});
  ossl::CertStack const recipients(sk_X509_new_null());
  X509_up_ref(recipient.raw());
  sk_X509_push(recipients.get(), recipient.raw());
  auto const in = ossl::memory_bio(certs);
  ossl::Cms const envelope(CMS_encrypt(recipients.get(), in.get(), evp(cipher), CMS_BINARY));
  if (!envelope) ossl::fail(Fault::bad_request, "SCEP reply: encrypt to the request's signer");
  std::string const content = ossl::to_der<CMS_ContentInfo>(envelope.get(), i2d_CMS_ContentInfo);
  return sign_reply(reply, kSuccess, content, [](CMS_SignerInfo*) {});
}

std::string scep_failure(ScepReply const& reply, std::string_view fail_info, std::string_view text) {
  return sign_reply(reply, kFailure, "", [&](CMS_SignerInfo* info) {
    add(info, scep_oid::kFailInfo, V_ASN1_PRINTABLESTRING, fail_info);
    if (!text.empty()) add(info, scep_oid::kFailInfoText, V_ASN1_UTF8STRING, text);
  });
}

std::string certs_only(std::vector<Cert> const& certs) {
  Pkcs7 const p7(PKCS7_new());
  if (!p7 || PKCS7_set_type(p7.get(), NID_pkcs7_signed) != 1)
    ossl::fail(Fault::internal, "certs-only message");
  // Content type data with the content itself left out (RFC 8894 section 3.4).
  p7->d.sign->contents->type = OBJ_nid2obj(NID_pkcs7_data);
  for (auto const& cert : certs) {
    if (PKCS7_add_certificate(p7.get(), cert.raw()) != 1) ossl::fail(Fault::internal, "certs-only message");
  }
  return ossl::to_der<PKCS7>(p7.get(), i2d_PKCS7);
}

}  // namespace sys
