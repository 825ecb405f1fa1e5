#include "cms.hpp"

#include <openssl/asn1.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "input.hpp"
#include "sys/openssl.hpp"
#include "sys/scep_attributes.hpp"

namespace fuzz {

namespace {

constexpr unsigned kFlags = CMS_PARTIAL | CMS_BINARY | CMS_NOSMIMECAP;

void add(CMS_SignerInfo* info, char const* oid, int type, std::string_view value) {
  if (value.empty()) return;
  demand(CMS_signed_add1_attr_by_txt(info, oid, type, value.data(), static_cast<int>(value.size())) == 1);
}

EVP_MD const* algorithm(Digest digest) {
  switch (digest) {
    case Digest::sha1:
      return EVP_sha1();
    case Digest::sha384:
      return EVP_sha384();
    case Digest::sha512:
      return EVP_sha512();
    case Digest::md5:
      return EVP_md5();
    case Digest::sha256:
      break;
  }
  return EVP_sha256();
}

EVP_CIPHER const* algorithm(Cipher cipher) {
  switch (cipher) {
    case Cipher::aes128:
      return EVP_aes_128_cbc();
    case Cipher::aes192:
      return EVP_aes_192_cbc();
    case Cipher::des3:
      return EVP_des_ede3_cbc();
    case Cipher::aes256:
      break;
  }
  return EVP_aes_256_cbc();
}

sys::ossl::Cms empty_signed_data(unsigned flags) {
  sys::ossl::Cms cms(CMS_sign(nullptr, nullptr, nullptr, nullptr, flags));
  demand(cms != nullptr);
  return cms;
}

}  // namespace

Identity make_identity(std::string_view name) {
  auto key = sys::Key::generate_rsa(2048);
  sys::CertTemplate wanted;
  wanted.subject = {{"CN", std::string(name)}};
  wanted.serial = "fuzz";
  wanted.not_before = sys::from_unix(1'700'000'000);
  wanted.not_after = sys::from_unix(2'000'000'000);
  return {sys::issue(wanted, key, std::nullopt, key), key};
}

std::string der(unsigned char tag, std::string_view content) {
  std::string out(1, static_cast<char>(tag));
  std::size_t const size = content.size();
  if (size < 0x80) {
    out += static_cast<char>(size);
  } else {
    out += '\x83';
    for (unsigned const shift : {16U, 8U, 0U}) out += static_cast<char>(size >> shift & 0xffU);
  }
  out += content;
  return out;
}

std::string sign_scep(std::string_view content, Identity const& signer, ScepAttributes const& attributes,
                      Digest digest) {
  auto const cms = empty_signed_data(kFlags);
  CMS_SignerInfo* info =
      CMS_add1_signer(cms.get(), signer.cert.raw(), signer.key.raw(), algorithm(digest), kFlags);
  demand(info != nullptr);
  add(info, sys::scep_oid::kMessageType, V_ASN1_PRINTABLESTRING, attributes.message_type);
  add(info, sys::scep_oid::kTransactionId, V_ASN1_PRINTABLESTRING, attributes.transaction_id);
  add(info, sys::scep_oid::kSenderNonce, V_ASN1_OCTET_STRING, attributes.sender_nonce);
  auto const in = sys::ossl::memory_bio(content);
  demand(CMS_final(cms.get(), in.get(), nullptr, kFlags) == 1);
  return sys::ossl::to_der<CMS_ContentInfo>(cms.get(), i2d_CMS_ContentInfo);
}

std::string envelop(std::string_view content, sys::Cert const& recipient, Cipher cipher) {
  STACK_OF(X509)* const to = sk_X509_new_null();
  demand(to != nullptr && sk_X509_push(to, recipient.raw()) > 0);
  auto const in = sys::ossl::memory_bio(content);
  sys::ossl::Cms const cms(CMS_encrypt(to, in.get(), algorithm(cipher), CMS_BINARY));
  sk_X509_free(to);
  return cms == nullptr ? std::string() : sys::ossl::to_der<CMS_ContentInfo>(cms.get(), i2d_CMS_ContentInfo);
}

std::string sign_csr(std::string_view subject, std::string_view attributes, sys::Key const& key) {
  std::string const info = der(0x30, der(0x02, std::string_view("\0", 1)) + std::string(subject) +
                                         key.public_der() + der(0xa0, attributes));
  // sha256WithRSAEncryption with NULL
  static constexpr std::string_view kAlgorithm("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
                                               15);
  return der(0x30,
             info + std::string(kAlgorithm) + der(0x03, std::string(1, '\0') + key.sign_certificate(info)));
}

std::string challenge_attribute(std::string_view challenge) {
  static constexpr std::string_view kOid("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07", 11);
  return der(0x30, std::string(kOid) + der(0x31, der(0x13, challenge)));
}

std::string sign_detached(std::string_view content, Identity const& signer, bool attributes,
                          std::string_view extra) {
  unsigned const flags =
      CMS_DETACHED | CMS_BINARY | CMS_PARTIAL | CMS_NOSMIMECAP | (attributes ? 0U : unsigned{CMS_NOATTR});
  auto const cms = empty_signed_data(flags);
  CMS_SignerInfo* info = CMS_add1_signer(cms.get(), signer.cert.raw(), signer.key.raw(), EVP_sha256(), flags);
  demand(info != nullptr);
  auto const* at = reinterpret_cast<unsigned char const*>(extra.data());
  X509_ATTRIBUTE* attribute = attributes && !extra.empty()
                                  ? d2i_X509_ATTRIBUTE(nullptr, &at, static_cast<long>(extra.size()))
                                  : nullptr;
  if (attribute != nullptr) {
    CMS_signed_add1_attr(info, attribute);
    X509_ATTRIBUTE_free(attribute);
  }
  ERR_clear_error();
  auto const in = sys::ossl::memory_bio(content);
  if (CMS_final(cms.get(), in.get(), nullptr, flags) != 1) return {};
  return sys::ossl::to_der<CMS_ContentInfo>(cms.get(), i2d_CMS_ContentInfo);
}

}  // namespace fuzz
