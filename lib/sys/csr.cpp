#include "sys/csr.hpp"

#include <openssl/objects.h>
#include <openssl/pem.h>

#include "sys/openssl.hpp"

namespace sys {

namespace {

// The wiping of what OpenSSL keeps of a challenge: its own free does not.
void free_request(X509_REQ* request) noexcept {
  int const at = X509_REQ_get_attr_by_NID(request, NID_pkcs9_challengePassword, -1);
  if (at >= 0) {
    X509_ATTRIBUTE* attribute = X509_REQ_get_attr(request, at);
    for (int i = 0; i < X509_ATTRIBUTE_count(attribute); ++i) {
      ASN1_TYPE const* value = X509_ATTRIBUTE_get0_type(attribute, i);
      if (value == nullptr || value->type == V_ASN1_BOOLEAN || value->type == V_ASN1_NULL) continue;
      if (value->type == V_ASN1_OBJECT) continue;
      ASN1_STRING const* text = value->value.asn1_string;
      // Ours to overwrite: the request is freed in the next line.
      OPENSSL_cleanse(const_cast<unsigned char*>(ASN1_STRING_get0_data(text)),
                      static_cast<std::size_t>(ASN1_STRING_length(text)));
    }
  }
  X509_REQ_free(request);
}

bool is_text(int type) noexcept {
  return type == V_ASN1_PRINTABLESTRING || type == V_ASN1_UTF8STRING || type == V_ASN1_IA5STRING ||
         type == V_ASN1_T61STRING;
}

}  // namespace

Csr::Csr(X509_req_st* owned) : request_(owned, free_request) {}

Csr Csr::from_der(std::string_view der) {
  unsigned char const* cursor = ossl::data(der);
  ossl::ReqPtr request(d2i_X509_REQ(nullptr, &cursor, static_cast<long>(der.size())));
  if (!request) ossl::fail(Fault::bad_request, "read certification request");
  if (cursor != ossl::data(der) + der.size())
    throw Error(Fault::bad_request, "read certification request: bytes follow it");
  return Csr(request.release());
}

Csr Csr::read(std::string_view bytes) {
  if (bytes.find("-----BEGIN ") == std::string_view::npos) return from_der(bytes);
  auto const bio = ossl::memory_bio(bytes);
  ossl::ReqPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) ossl::fail(Fault::bad_request, "read certification request: no PEM block of one");
  return Csr(request.release());
}

std::string Csr::subject() const {
  auto const bio = ossl::empty_bio();
  X509_NAME_print_ex(bio.get(), X509_REQ_get_subject_name(request_.get()), 0,
                     XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
  return ossl::bio_bytes(bio.get());
}

std::string Csr::subject_der() const {
  return ossl::to_der<X509_NAME>(X509_REQ_get_subject_name(request_.get()), i2d_X509_NAME);
}

Key Csr::public_key() const {
  ossl::KeyPtr key(X509_REQ_get_pubkey(request_.get()));
  if (!key) ossl::fail(Fault::bad_request, "read public key of certification request");
  return Key(key.release());
}

SecretBytes Csr::challenge() const {
  X509_REQ* request = request_.get();
  int const at = X509_REQ_get_attr_by_NID(request, NID_pkcs9_challengePassword, -1);
  if (at < 0) return {};
  X509_ATTRIBUTE* attribute = X509_REQ_get_attr(request, at);
  ASN1_TYPE const* value = X509_ATTRIBUTE_get0_type(attribute, 0);
  if (X509_REQ_get_attr_by_NID(request, NID_pkcs9_challengePassword, at) >= 0 ||
      X509_ATTRIBUTE_count(attribute) != 1 || value == nullptr || !is_text(value->type)) {
    throw Error(Fault::bad_request, "read certification request: its challengePassword is not one text");
  }
  ASN1_STRING const* text = value->value.asn1_string;
  return SecretBytes(std::string(reinterpret_cast<char const*>(ASN1_STRING_get0_data(text)),
                                 static_cast<std::size_t>(ASN1_STRING_length(text))));
}

int Csr::signature_digest() const {
  X509_ALGOR const* algorithm = nullptr;
  X509_REQ_get0_signature(request_.get(), nullptr, &algorithm);
  return rsa_signature_digest(algorithm);
}

bool Csr::is_signed_with_sha1() const { return signature_digest() == NID_sha1; }

std::optional<std::string> Csr::weakness(OldAlgorithms old) const {
  if (auto weak = key_weakness(public_key())) return "certification request for " + *weak;
  if (is_good_digest(signature_digest(), old)) return std::nullopt;
  return "certification request signed with " + algorithm_name(X509_REQ_get_signature_nid(request_.get()));
}

bool Csr::verify() const {
  X509_REQ* request = request_.get();
  bool const good = X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) == 1;
  if (!good) ossl::take_errors();
  return good;
}

}  // namespace sys
