#include "scep_message.hpp"

#include <optional>

#include "cms.hpp"

namespace device {
namespace {

constexpr const char* message_type = "2.16.840.1.113733.1.9.2";
constexpr const char* pki_status = "2.16.840.1.113733.1.9.3";
constexpr const char* fail_info = "2.16.840.1.113733.1.9.4";
constexpr const char* sender_nonce = "2.16.840.1.113733.1.9.5";
constexpr const char* recipient_nonce = "2.16.840.1.113733.1.9.6";
constexpr const char* transaction = "2.16.840.1.113733.1.9.7";
constexpr const char* fail_info_text = "1.3.6.1.5.5.7.24.1";

void free_stack(STACK_OF(X509) * stack) { sk_X509_free(stack); }  // not the certificates in it
using Recipients = std::unique_ptr<STACK_OF(X509), Freed<free_stack>>;
using Object = std::unique_ptr<ASN1_OBJECT, Freed<ASN1_OBJECT_free>>;

void add(CMS_SignerInfo* signer, const char* oid, int type, const std::string& value) {
  if (CMS_signed_add1_attr_by_txt(signer, oid, type, value.data(), static_cast<int>(value.size())) != 1)
    throw crypto_error("cannot add a SCEP attribute");
}

// Exactly one attribute with one value of that type; else nothing.
std::optional<std::string> attribute(CMS_SignerInfo* signer, const char* oid, int type) {
  const Object object(OBJ_txt2obj(oid, 1));
  const auto* text =
      static_cast<const ASN1_STRING*>(CMS_signed_get0_data_by_OBJ(signer, object.get(), -3, type));
  if (text == nullptr) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
}

std::string envelop(const std::string& data, X509* recipient, const ScepStyle& style) {
  const Recipients recipients(sk_X509_new_null());
  sk_X509_push(recipients.get(), recipient);
  const Cms cms(CMS_encrypt(recipients.get(), nullptr, style.cipher, CMS_BINARY | CMS_PARTIAL | CMS_STREAM));
  if (!cms) throw crypto_error("cannot encrypt to the SCEP server's certificate");
  return encode_streamed(cms.get(), data, style.segment);
}

std::string failure_text(CMS_SignerInfo* signer) {
  static const char* const names[] = {"badAlg", "badMessageCheck", "badRequest", "badTime", "badCertId"};
  const std::string info = attribute(signer, fail_info, V_ASN1_PRINTABLESTRING).value_or("none");
  std::string text = "the SCEP server refused: failInfo " + info;
  if (info.size() == 1 && info[0] >= '0' && info[0] <= '4')
    text += std::string(" (") + names[info[0] - '0'] + ")";
  if (const auto more = attribute(signer, fail_info_text, V_ASN1_UTF8STRING)) text += ": " + *more;
  return text;
}

// The checks on the reply's signer and attributes. True: the certificate is pending.
bool check_signer_info(CMS_ContentInfo* reply, const ScepRequest& request, const ScepAuthority& authority) {
  STACK_OF(CMS_SignerInfo)* infos = CMS_get0_SignerInfos(reply);
  if (sk_CMS_SignerInfo_num(infos) != 1) throw Error("the SCEP reply has not exactly one signer");
  CMS_SignerInfo* info = sk_CMS_SignerInfo_value(infos, 0);
  X509* signer = nullptr;
  CMS_SignerInfo_get0_algs(info, nullptr, &signer, nullptr, nullptr);
  if (signer == nullptr ||
      (X509_cmp(signer, authority.signing.get()) != 0 && X509_cmp(signer, authority.ca.get()) != 0))
    throw Error("the SCEP reply's signer is not the CA or RA certificate that GetCACert gave");
  const Object content_type(OBJ_nid2obj(NID_pkcs9_contentType));
  if (CMS_signed_get0_data_by_OBJ(info, content_type.get(), -3, V_ASN1_OBJECT) == nullptr)
    throw Error("the SCEP reply lacks the signed attribute contentType (this crashed iOS 10)");
  if (attribute(info, message_type, V_ASN1_PRINTABLESTRING) != "3")
    throw Error("the SCEP reply's messageType is not the PrintableString 3");
  if (attribute(info, transaction, V_ASN1_PRINTABLESTRING) != request.transaction_id)
    throw Error(
        "the SCEP reply's transactionID is not the request's (RFC 8894; Apple's client does not check)");
  if (attribute(info, recipient_nonce, V_ASN1_OCTET_STRING) != request.sender_nonce)
    throw Error("the SCEP reply's recipientNonce is not the request's senderNonce (RFC 8894)");
  if (attribute(info, sender_nonce, V_ASN1_OCTET_STRING).value_or("").size() != 16)
    throw Error("the SCEP reply lacks a senderNonce of 16 bytes (RFC 8894)");
  const auto status = attribute(info, pki_status, V_ASN1_PRINTABLESTRING);
  if (!status) throw Error("the SCEP reply lacks a pkiStatus in a PrintableString");
  if (*status == "2") throw Refusal(failure_text(info));
  if (*status != "0" && *status != "3") throw Error("the SCEP reply has the unknown pkiStatus " + *status);
  return *status == "3";
}

std::string decrypt(const std::string& bytes, const Identity& signer) {
  const Bio in = memory_bio(bytes);
  const Cms envelope(d2i_CMS_bio(in.get(), nullptr));
  const Bio out = memory_bio();
  if (!envelope || CMS_decrypt(envelope.get(), signer.key.get(), signer.certificate.get(), nullptr, out.get(),
                               CMS_BINARY) != 1)
    throw crypto_error("the SCEP reply cannot be decrypted with the request's key");
  return content_of(out.get());
}

}  // namespace

std::string encode_request(const ScepRequest& request, const std::string& data, X509* recipient,
                           const Identity& signer, const ScepStyle& style) {
  const std::string envelope = envelop(data, recipient, style);
  const unsigned flags = CMS_BINARY | CMS_PARTIAL | CMS_STREAM | CMS_NOSMIMECAP;
  const Cms cms(CMS_sign(nullptr, nullptr, nullptr, nullptr, flags));
  CMS_SignerInfo* info =
      cms ? CMS_add1_signer(cms.get(), signer.certificate.get(), signer.key.get(), style.hash, flags)
          : nullptr;
  if (info == nullptr) throw crypto_error("cannot sign the SCEP request");
  add(info, transaction, V_ASN1_PRINTABLESTRING, request.transaction_id);
  add(info, message_type, V_ASN1_PRINTABLESTRING, std::to_string(request.type));
  add(info, sender_nonce, V_ASN1_OCTET_STRING, request.sender_nonce);
  return encode_streamed(cms.get(), envelope, style.segment);
}

ScepReply read_reply(const std::string& bytes, const ScepRequest& request, const ScepAuthority& authority,
                     const Identity& signer) {
  const Bio in = memory_bio(bytes);
  const Cms reply(d2i_CMS_bio(in.get(), nullptr));
  if (!reply) throw crypto_error("the SCEP reply is no CMS message");
  const Bio content = memory_bio();
  if (CMS_verify(reply.get(), nullptr, nullptr, nullptr, content.get(),
                 CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY) != 1)
    throw crypto_error("the SCEP reply's signature does not verify with a certificate inside it");
  if (check_signer_info(reply.get(), request, authority)) return {true, nullptr};
  const auto certificates = certificates_in(decrypt(content_of(content.get()), signer));
  if (certificates.empty()) throw Error("the SCEP reply holds no certificate");
  // Apple takes whatever stands first: a CA there would become the "identity".
  if (X509_check_private_key(certificates.front().get(), signer.key.get()) != 1)
    throw crypto_error("the first certificate in the SCEP reply is not for our key, but " +
                       common_name(certificates.front().get()));
  return {false, certificates.front()};
}

std::vector<Certificate> certificates_in(const std::string& certs_only) {
  const auto* at = reinterpret_cast<const unsigned char*>(certs_only.data());
  // PKCS7 rather than CMS: it keeps the order of the encoding.
  const Pkcs7 message(d2i_PKCS7(nullptr, &at, static_cast<long>(certs_only.size())));
  if (!message || !PKCS7_type_is_signed(message.get())) throw crypto_error("not a certs-only message");
  std::vector<Certificate> certificates;
  const STACK_OF(X509)* stack = message->d.sign->cert;
  for (int i = 0; i < sk_X509_num(stack); ++i) {
    X509* certificate = sk_X509_value(stack, i);
    X509_up_ref(certificate);
    certificates.emplace_back(certificate, X509_free);
  }
  return certificates;
}

}  // namespace device
