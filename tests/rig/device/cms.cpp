#include "cms.hpp"

#include <algorithm>
#include <ctime>
#include <memory>

namespace device {
namespace {

// One DER element: where its content starts and how long the whole is.
struct Element {
  unsigned char tag = 0;
  std::size_t header = 0;
  std::size_t content = 0;
};

Element element_at(std::string_view der) {
  if (der.size() < 2) throw Error("truncated DER");
  Element element{static_cast<unsigned char>(der[0]), 2, static_cast<unsigned char>(der[1])};
  if (element.content >= 0x80) {
    const std::size_t count = element.content & 0x7fU;
    element.content = 0;
    for (std::size_t i = 0; i < count; ++i)
      element.content = element.content << 8U | static_cast<unsigned char>(der.at(2 + i));
    element.header += count;
  }
  if (element.header + element.content > der.size()) throw Error("truncated DER");
  return element;
}

// Rewrites the containers on the way to a detached SignedData's content with indefinite length, as an encoder
// that streams writes them: ContentInfo, its [0], SignedData and EncapsulatedContentInfo (depths 0 to 3).
void to_indefinite(std::string_view der, int depth, std::string& out) {
  constexpr unsigned char sequence = 0x30;
  constexpr unsigned char context_0 = 0xa0;
  while (!der.empty()) {
    const Element element = element_at(der);
    const std::size_t whole = element.header + element.content;
    const bool container = element.tag == sequence || (depth == 1 && element.tag == context_0);
    if (container && depth <= 3) {
      out += static_cast<char>(element.tag);
      out += '\x80';
      to_indefinite(der.substr(element.header, element.content), depth + 1, out);
      out.append(2, '\0');
    } else {
      out += der.substr(0, whole);
    }
    der.remove_prefix(whole);
  }
}

std::string to_der(CMS_ContentInfo* message) {
  const Bio bio = memory_bio();
  if (i2d_CMS_bio(bio.get(), message) != 1) throw crypto_error("cannot encode a CMS message");
  return content_of(bio.get());
}

// Otherwise libcrypto puts the true time there.
void tell_time(CMS_SignerInfo* signer, int skew) {
  const std::unique_ptr<ASN1_TIME, Freed<ASN1_TIME_free>> time(
      ASN1_TIME_adj(nullptr, std::time(nullptr), 0, skew));
  if (!time || CMS_signed_add1_attr_by_NID(signer, NID_pkcs9_signingTime, time->type, time.get(), -1) != 1)
    throw crypto_error("cannot tell another time");
}

}  // namespace

SignatureForm signature_form_from(std::string_view name) {
  if (name == "apple") return SignatureForm::apple;
  if (name == "attrs") return SignatureForm::attributes;
  if (name == "sha256") return SignatureForm::sha256;
  throw Error("unknown signature form '" + std::string(name) + "'; known: apple, attrs, sha256");
}

std::string name_of(SignatureForm form) {
  if (form == SignatureForm::attributes) return "attrs";
  return form == SignatureForm::sha256 ? "sha256" : "apple";
}

std::string mdm_signature(const Identity& identity, std::string_view body, SignatureForm form, int skew) {
  const bool attributes = form == SignatureForm::attributes;
  const unsigned flags = CMS_BINARY | CMS_DETACHED | CMS_PARTIAL | CMS_NOSMIMECAP;
  const Cms cms(CMS_sign(nullptr, nullptr, nullptr, nullptr, flags));
  const EVP_MD* hash = form == SignatureForm::apple ? EVP_sha1() : EVP_sha256();
  CMS_SignerInfo* signer = !cms ? nullptr
                                : CMS_add1_signer(cms.get(), identity.certificate.get(), identity.key.get(),
                                                  hash, flags | (attributes ? 0U : unsigned{CMS_NOATTR}));
  if (signer == nullptr) throw crypto_error("cannot sign with the device identity");
  if (attributes && skew != 0) tell_time(signer, skew);
  const Bio content = memory_bio(body);
  if (CMS_final(cms.get(), content.get(), nullptr, flags) != 1)
    throw crypto_error("cannot sign with the device identity");
  std::string der = to_der(cms.get());
  if (attributes) return der;
  std::string ber;
  to_indefinite(der, 0, ber);
  return ber;
}

std::string encode_streamed(CMS_ContentInfo* message, std::string_view content, std::size_t segment) {
  const Bio out = memory_bio();
  BIO* top = BIO_new_CMS(out.get(), message);
  if (top == nullptr) throw crypto_error("cannot stream a CMS message");
  bool written = true;
  for (std::size_t at = 0; at < content.size() && written; at += segment) {
    const std::string_view part = content.substr(at, segment);
    written = BIO_write(top, part.data(), static_cast<int>(part.size())) == static_cast<int>(part.size());
  }
  written = written && BIO_flush(top) == 1;
  while (top != out.get()) {  // the filters on top are ours, the memory below has an owner
    BIO* next = BIO_pop(top);
    BIO_free(top);
    top = next;
  }
  if (!written) throw crypto_error("cannot stream a CMS message");
  return content_of(out.get());
}

std::string open_envelope(const std::string& bytes, const Identity& identity) {
  const Bio in = memory_bio(bytes);
  const Cms cms(d2i_CMS_bio(in.get(), nullptr));
  if (!cms) throw crypto_error("EncryptedPayloadContent is no CMS message");
  const Bio content = memory_bio();
  if (CMS_decrypt(cms.get(), identity.key.get(), identity.certificate.get(), nullptr, content.get(), 0) != 1)
    throw crypto_error("EncryptedPayloadContent is not for this device's identity");
  return content_of(content.get());
}

std::string unwrap_signed(const std::string& bytes, std::string& signer) {
  signer.clear();
  if (bytes.empty() || bytes[0] != '\x30') return bytes;
  const Bio in = memory_bio(bytes);
  const Cms cms(d2i_CMS_bio(in.get(), nullptr));
  if (!cms) throw crypto_error("the profile is neither a property list nor a CMS-signed one");
  const Bio content = memory_bio();
  if (CMS_verify(cms.get(), nullptr, nullptr, nullptr, content.get(),
                 CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY) != 1)
    throw crypto_error("the profile's signature does not verify");
  STACK_OF(X509)* signers = CMS_get0_signers(cms.get());
  if (sk_X509_num(signers) > 0) signer = common_name(sk_X509_value(signers, 0));
  sk_X509_free(signers);
  return content_of(content.get());
}

}  // namespace device
