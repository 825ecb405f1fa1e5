#include "sys/cms_scep.hpp"

#include <openssl/err.h>
#include <openssl/objects.h>

#include "sys/cms_head.hpp"
#include "sys/legacy_context.hpp"
#include "sys/openssl.hpp"
#include "sys/scep_attributes.hpp"

namespace sys {

namespace {

constexpr int kMostCertificates = 3;
constexpr int kMostRecipients = 4;

using Object = ossl::Handle<ASN1_OBJECT, ASN1_OBJECT_free>;
using Pkcs7 = ossl::Handle<PKCS7, PKCS7_free>;

[[noreturn]] void refuse(std::string const& why) {
  ossl::take_errors();
  throw Error(Fault::bad_request, "SCEP message: " + why);
}

// Whatever is done with the message later is done in this OpenSSL context; null is the process's own.
ossl::Cms read_cms(std::string_view bytes, OSSL_LIB_CTX* context = nullptr) {
  unsigned char const* cursor = ossl::data(bytes);
  CMS_ContentInfo* read = CMS_ContentInfo_new_ex(context, nullptr);
  d2i_CMS_ContentInfo(&read, &cursor, static_cast<long>(bytes.size()));  // frees it and nulls it on failure
  ossl::Cms cms(read);
  if (cms && cursor != ossl::data(bytes) + bytes.size()) cms.reset();
  return cms;
}

// The value of the one attribute of this kind with one value of this type.
std::optional<std::string> attribute(CMS_SignerInfo* info, char const* oid, int type) {
  constexpr int kExactlyOne = -3;
  Object const object(OBJ_txt2obj(oid, 1));
  auto const* text =
      static_cast<ASN1_STRING const*>(CMS_signed_get0_data_by_OBJ(info, object.get(), kExactlyOne, type));
  if (text == nullptr) return std::nullopt;
  return std::string(reinterpret_cast<char const*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
}

int algorithm_nid(X509_ALGOR const* algorithm) {
  ASN1_OBJECT const* object = nullptr;
  X509_ALGOR_get0(&object, nullptr, nullptr, algorithm);
  return OBJ_obj2nid(object);
}

std::optional<ScepDigest> digest_of(int nid) {
  switch (nid) {
    case NID_sha1:
      return ScepDigest::sha1;
    case NID_sha256:
      return ScepDigest::sha256;
    case NID_sha384:
      return ScepDigest::sha384;
    case NID_sha512:
      return ScepDigest::sha512;
    default:
      return std::nullopt;
  }
}

// An RSA signature with the digest that the SignerInfo names beside it.
bool signature_fits(X509_ALGOR const* signature, int digest) {
  return algorithm_nid(signature) == NID_rsaEncryption || rsa_signature_digest(signature) == digest;
}

std::optional<ScepCipher> cipher_of(int nid) {
  switch (nid) {
    case NID_des_cbc:
      return ScepCipher::des;
    case NID_des_ede3_cbc:
      return ScepCipher::des3;
    case NID_aes_128_cbc:
      return ScepCipher::aes128;
    case NID_aes_192_cbc:
      return ScepCipher::aes192;
    case NID_aes_256_cbc:
      return ScepCipher::aes256;
    default:
      return std::nullopt;
  }
}

bool is_old(ScepCipher cipher) { return cipher == ScepCipher::des || cipher == ScepCipher::des3; }

// CMS has no accessor for the content cipher in OpenSSL 3.0; PKCS#7 reads the same bytes.
int content_cipher(std::string_view envelope) {
  unsigned char const* cursor = ossl::data(envelope);
  Pkcs7 const p7(d2i_PKCS7(nullptr, &cursor, static_cast<long>(envelope.size())));
  if (!p7 || !PKCS7_type_is_enveloped(p7.get()) || p7->d.enveloped == nullptr) return NID_undef;
  PKCS7_ENC_CONTENT const* content = p7->d.enveloped->enc_data;
  return content == nullptr || content->algorithm == nullptr ? NID_undef : algorithm_nid(content->algorithm);
}

ScepProblem unreadable(std::string reason) {
  ossl::take_errors();
  return {ScepFault::unreadable, std::move(reason)};
}

struct Envelope {
  ossl::Cms cms;
  ScepRecipient const* recipient = nullptr;
  int key_transport = NID_undef;
};

bool fits(CMS_RecipientInfo* info, Cert const& cert) {
  return CMS_RecipientInfo_type(info) == CMS_RECIPINFO_TRANS &&
         CMS_RecipientInfo_ktri_cert_cmp(info, cert.raw()) == 0;
}

Envelope read_envelope(std::string_view bytes, std::vector<ScepRecipient> const& recipients,
                       OSSL_LIB_CTX* context = nullptr) {
  Envelope envelope{read_cms(bytes, context)};
  if (!envelope.cms || OBJ_obj2nid(CMS_get0_type(envelope.cms.get())) != NID_pkcs7_enveloped) return {};
  STACK_OF(CMS_RecipientInfo)* infos = CMS_get0_RecipientInfos(envelope.cms.get());
  int const count = sk_CMS_RecipientInfo_num(infos);
  for (int i = 0; count <= kMostRecipients && i < count; ++i) {
    CMS_RecipientInfo* info = sk_CMS_RecipientInfo_value(infos, i);
    for (auto const& recipient : recipients) {
      if (envelope.recipient != nullptr || !fits(info, recipient.cert)) continue;
      X509_ALGOR* algorithm = nullptr;
      CMS_RecipientInfo_ktri_get0_algs(info, nullptr, nullptr, &algorithm);
      envelope.recipient = &recipient;
      if (algorithm != nullptr) envelope.key_transport = algorithm_nid(algorithm);
    }
  }
  return envelope;
}

}  // namespace

ScepMessage::ScepMessage(CMS_ContentInfo_st* owned) : cms_(owned, CMS_ContentInfo_free) {}

ScepMessage ScepMessage::parse(std::string_view bytes) {
  ERR_clear_error();
  check_signed_data_head(bytes);
  ossl::Cms cms = read_cms(bytes);
  if (!cms) refuse("no CMS, or bytes behind it");
  if (OBJ_obj2nid(CMS_get0_type(cms.get())) != NID_pkcs7_signed ||
      OBJ_obj2nid(CMS_get0_eContentType(cms.get())) != NID_pkcs7_data) {
    refuse("no SignedData around data");
  }
  ScepMessage message(cms.release());
  STACK_OF(CMS_SignerInfo)* infos = CMS_get0_SignerInfos(message.cms_.get());
  if (infos == nullptr || sk_CMS_SignerInfo_num(infos) != 1) refuse("not exactly one signer");
  message.signer_info_ = sk_CMS_SignerInfo_value(infos, 0);
  ossl::CertStack const certs(CMS_get1_certs(message.cms_.get()));
  if (certs && sk_X509_num(certs.get()) > kMostCertificates) refuse("more than three certificates");
  message.read_attributes();
  return message;
}

void ScepMessage::read_attributes() {
  auto const transaction = attribute(signer_info_, scep_oid::kTransactionId, V_ASN1_PRINTABLESTRING);
  auto const nonce = attribute(signer_info_, scep_oid::kSenderNonce, V_ASN1_OCTET_STRING);
  if (!transaction || !nonce) refuse("no transactionID or senderNonce");
  transaction_id_ = *transaction;
  sender_nonce_ = *nonce;
  message_type_ = attribute(signer_info_, scep_oid::kMessageType, V_ASN1_PRINTABLESTRING).value_or("");
  X509_ALGOR* digest = nullptr;
  CMS_SignerInfo_get0_algs(signer_info_, nullptr, nullptr, &digest, nullptr);
  int const nid = algorithm_nid(digest);
  if (is_good_digest(nid, OldAlgorithms::refused)) digest_ = digest_of(nid).value_or(ScepDigest::sha256);
}

std::optional<std::string> ScepMessage::weakness(Cert const& signer, OldAlgorithms old) {
  X509_ALGOR* digest = nullptr;
  X509_ALGOR* signature = nullptr;
  CMS_SignerInfo_get0_algs(signer_info_, nullptr, nullptr, &digest, &signature);
  int const nid = algorithm_nid(digest);
  if (!is_good_digest(nid, old)) return "message digest " + algorithm_name(nid);
  if (!signature_fits(signature, nid)) return "message signature " + algorithm_name(algorithm_nid(signature));
  if (auto const weak = key_weakness(signer.public_key())) return "signer: " + *weak;
  digest_ = digest_of(nid).value_or(ScepDigest::sha256);
  if (nid == NID_sha1) old_algorithms_ = algorithm_name(nid);
  return std::nullopt;
}

std::optional<ScepProblem> ScepMessage::check(OldAlgorithms old) {
  auto const signer = embedded_signer(cms_.get(), signer_info_);
  if (!signer) return ScepProblem{ScepFault::forged, "the signer's certificate is not in the message"};
  try {
    if (auto weak = weakness(*signer, old)) return ScepProblem{ScepFault::weak, *weak};
  } catch (Error const& error) {
    return ScepProblem{ScepFault::weak, error.what()};  // a key of a kind that OpenSSL does not know
  }
  auto const out = ossl::empty_bio();
  if (CMS_verify(cms_.get(), nullptr, nullptr, nullptr, out.get(), CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY) !=
      1) {
    return ScepProblem{ScepFault::forged, "outer signature: " + ossl::take_errors()};
  }
  signer_ = signer;
  envelope_ = ossl::bio_bytes(out.get());
  return check_cipher(old);
}

std::optional<ScepProblem> ScepMessage::check_cipher(OldAlgorithms old) {
  int const nid = content_cipher(envelope_);
  ossl::take_errors();
  if (nid == NID_undef) return std::nullopt;  // open() will say so, as of all that is unreadable
  auto const cipher = cipher_of(nid);
  if (!cipher || (is_old(*cipher) && old == OldAlgorithms::refused))
    return ScepProblem{ScepFault::weak, "content encryption " + algorithm_name(nid)};
  if (is_old(*cipher))
    old_algorithms_ = algorithm_name(nid) + (old_algorithms_.empty() ? "" : " ") + old_algorithms_;
  return std::nullopt;
}

Cert const& ScepMessage::signer() const {
  if (!signer_) throw Error(Fault::internal, "SCEP message: used before it was checked");
  return *signer_;
}

bool ScepMessage::is_for(std::vector<ScepRecipient> const& recipients) const {
  bool const found = read_envelope(envelope_, recipients).recipient != nullptr;
  ossl::take_errors();
  return found;
}

std::variant<ScepContent, ScepProblem> ScepMessage::open(std::vector<ScepRecipient> const& recipients) const {
  auto const& signer = this->signer();
  auto const cipher = cipher_of(content_cipher(envelope_));
  if (!cipher) return unreadable("no EnvelopedData inside");
  std::optional<LegacyContext> legacy;  // outlives the message that is bound to it
  if (*cipher == ScepCipher::des) legacy.emplace();
  Envelope const envelope = read_envelope(envelope_, recipients, legacy ? legacy->raw() : nullptr);
  if (!envelope.cms) return unreadable("no EnvelopedData inside");
  if (envelope.recipient == nullptr) return unreadable("encrypted to another certificate than ours");
  // Said of what everybody can see, before anything is decrypted.
  if (envelope.key_transport != NID_rsaEncryption)
    return ScepProblem{ScepFault::weak, "key transport " + algorithm_name(envelope.key_transport)};
  auto const out = ossl::empty_bio();
  // OpenSSL keeps a copy of the key for each context that it is used in, as long as the key lives: so the
  // context of this call gets a key of its own.
  ossl::KeyPtr const own(legacy ? EVP_PKEY_dup(envelope.recipient->key.raw()) : nullptr);
  if (legacy && !own) ossl::fail(Fault::internal, "copy the recipient's key");
  EVP_PKEY* const key = own ? own.get() : envelope.recipient->key.raw();
  // With the certificate: without it OpenSSL tries the key on every recipient and has no countermeasure.
  if (CMS_decrypt(envelope.cms.get(), key, envelope.recipient->cert.raw(), nullptr, out.get(), CMS_BINARY) !=
      1) {
    return unreadable("cannot be decrypted");
  }
  return ScepContent{signer, *cipher == ScepCipher::des ? ScepCipher::aes128 : *cipher,
                     SecretBytes(ossl::bio_bytes(out.get()))};
}

}  // namespace sys
