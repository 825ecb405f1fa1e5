#include "csr.hpp"

#include <algorithm>

#include <openssl/asn1t.h>

#include "bytes.hpp"

namespace device {
namespace {

using Name = std::unique_ptr<X509_NAME, Freed<X509_NAME_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;

void free_extensions(STACK_OF(X509_EXTENSION) * list) {
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
}
using Extensions = std::unique_ptr<STACK_OF(X509_EXTENSION), Freed<free_extensions>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>>;

void add_name_part(X509_NAME* name, const std::string& type, const std::string& value, int set) {
  if (X509_NAME_add_entry_by_txt(name, type.c_str(), MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(value.data()),
                                 static_cast<int>(value.size()), -1, set) != 1)
    throw crypto_error("the SCEP payload's Subject has a part " + type + " that no name can hold");
}

Name subject_name(const std::vector<Rdn>& subject) {
  Name name(X509_NAME_new());
  for (const Rdn& rdn : subject)
    for (std::size_t i = 0; i < rdn.size(); ++i)
      add_name_part(name.get(), rdn[i].first, rdn[i].second, i == 0 ? 0 : -1);
  return name;
}

Extension key_usage(int bits) {
  std::string text = "critical";
  if ((bits & 1) != 0) text += ",digitalSignature";
  if ((bits & 4) != 0) text += ",keyEncipherment";
  Extension extension(X509V3_EXT_conf_nid(nullptr, nullptr, NID_key_usage, text.c_str()));
  if (!extension) throw crypto_error("cannot write a keyUsage extension");
  return extension;
}

ASN1_IA5STRING* ia5(const std::string& text) {
  ASN1_IA5STRING* string = ASN1_IA5STRING_new();
  ASN1_STRING_set(string, text.data(), static_cast<int>(text.size()));
  return string;
}

GENERAL_NAME* general_name(const std::string& kind, const std::string& value) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  if (kind == "ntPrincipalName") {  // otherName of Microsoft's user principal name
    ASN1_TYPE* utf8 = ASN1_TYPE_new();
    ASN1_UTF8STRING* text = ASN1_UTF8STRING_new();
    ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
    ASN1_TYPE_set(utf8, V_ASN1_UTF8STRING, text);
    GENERAL_NAME_set0_othername(name, OBJ_txt2obj("1.3.6.1.4.1.311.20.2.3", 1), utf8);
    return name;
  }
  const int type = kind == "dNSName" ? GEN_DNS : kind == "rfc822Name" ? GEN_EMAIL : GEN_URI;
  GENERAL_NAME_set0_value(name, type, ia5(value));
  return name;
}

void add_alternative_names(STACK_OF(X509_EXTENSION) * extensions, const ScepPayload& payload) {
  if (payload.alternative_names.empty()) return;
  const Names names(sk_GENERAL_NAME_new_null());
  for (const auto& [kind, value] : payload.alternative_names)
    sk_GENERAL_NAME_push(names.get(), general_name(kind, value));
  sk_X509_EXTENSION_push(extensions, X509V3_EXT_i2d(NID_subject_alt_name, 0, names.get()));
}

// PrintableString where the characters allow it, else UTF8String.
void add_challenge(X509_REQ* csr, const std::string& challenge) {
  if (challenge.empty()) return;
  static constexpr std::string_view printable =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?";
  const bool plain = challenge.find_first_not_of(printable) == std::string::npos;
  if (X509_REQ_add1_attr_by_NID(
          csr, NID_pkcs9_challengePassword, plain ? V_ASN1_PRINTABLESTRING : V_ASN1_UTF8STRING,
          reinterpret_cast<const unsigned char*>(challenge.data()), static_cast<int>(challenge.size())) != 1)
    throw crypto_error("cannot put the challenge into the certificate request");
}

std::string encoded(const X509_NAME* name) {
  unsigned char* der = nullptr;
  const int length = i2d_X509_NAME(name, &der);
  if (length < 0) throw crypto_error("cannot encode a name");
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return bytes;
}

void set_random_serial(X509* certificate) {
  std::string bytes = random_bytes(8);
  bytes[0] = static_cast<char>((static_cast<unsigned char>(bytes[0]) & 0x7fU) | 0x01U);
  const std::unique_ptr<BIGNUM, Freed<BN_free>> number(BN_bin2bn(
      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
}

}  // namespace

std::string make_csr(const ScepPayload& payload, EVP_PKEY* key, const EVP_MD* hash) {
  const Csr csr(X509_REQ_new());
  const Name name = subject_name(payload.subject);
  if (X509_REQ_set_subject_name(csr.get(), name.get()) != 1 || X509_REQ_set_pubkey(csr.get(), key) != 1)
    throw crypto_error("cannot fill the certificate request");
  add_challenge(csr.get(), payload.challenge);
  const Extensions extensions(sk_X509_EXTENSION_new_null());
  if (payload.key_usage != 0)
    sk_X509_EXTENSION_push(extensions.get(), key_usage(payload.key_usage).release());
  add_alternative_names(extensions.get(), payload);
  if (sk_X509_EXTENSION_num(extensions.get()) > 0) X509_REQ_add_extensions(csr.get(), extensions.get());
  if (X509_REQ_sign(csr.get(), key, hash) <= 0) throw crypto_error("cannot sign the certificate request");
  const Bio bio = memory_bio();
  i2d_X509_REQ_bio(bio.get(), csr.get());
  return content_of(bio.get());
}

Identity make_temporary_signer(const Key& key, const EVP_MD* hash) {
  const Certificate certificate(X509_new(), X509_free);
  X509* x509 = certificate.get();
  X509_set_version(x509, X509_VERSION_3);
  set_random_serial(x509);
  const Name name = subject_name({{{"CN", uuid()}}});
  X509_set_subject_name(x509, name.get());
  X509_set_issuer_name(x509, name.get());
  X509_gmtime_adj(X509_getm_notBefore(x509), 0);
  X509_time_adj_ex(X509_getm_notAfter(x509), 365, 0, nullptr);
  X509_set_pubkey(x509, key.get());
  X509_add_ext(x509, key_usage(5).get(), -1);
  if (X509_sign(x509, key.get(), hash) <= 0) throw crypto_error("cannot sign the temporary certificate");
  return make_identity(key, certificate);
}

std::string issuer_and_subject(X509* ca, const std::string& csr) {
  const auto* at = reinterpret_cast<const unsigned char*>(csr.data());
  const Csr request(d2i_X509_REQ(nullptr, &at, static_cast<long>(csr.size())));
  if (!request) throw crypto_error("cannot read our own certificate request");
  const std::string names =
      encoded(X509_get_subject_name(ca)) + encoded(X509_REQ_get_subject_name(request.get()));
  std::string sequence = "\x30";
  if (names.size() > 0x7f) sequence += '\x82';
  if (names.size() > 0x7f) sequence += static_cast<char>(names.size() >> 8U);
  sequence += static_cast<char>(names.size() & 0xffU);
  return sequence + names;
}

std::string transaction_id(X509* signer) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (X509_pubkey_digest(signer, EVP_sha1(), hash, &length) != 1)
    throw crypto_error("cannot hash a public key");
  return upper_hex({reinterpret_cast<char*>(hash), length});
}

}  // namespace device
