#include "sys/csr.hpp"

#include <openssl/objects.h>
#include <openssl/pem.h>

#include "sys/openssl.hpp"

namespace sys {

namespace {

constexpr unsigned kLeastBits = 2048;
constexpr unsigned kMostBits = 8192;
constexpr std::uint64_t kExponent = 65537;

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

std::optional<std::string> Csr::weakness() const {
  switch (int const nid = X509_REQ_get_signature_nid(request_.get()); nid) {
    case NID_sha256WithRSAEncryption:
    case NID_sha384WithRSAEncryption:
    case NID_sha512WithRSAEncryption:
      return rsa_weakness(public_key());
    default: {
      char const* name = OBJ_nid2sn(nid);
      return "certification request signed with " +
             std::string(name == nullptr ? "an unknown algorithm" : name);
    }
  }
}

bool Csr::verify() const {
  X509_REQ* request = request_.get();
  bool const good = X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) == 1;
  if (!good) ossl::take_errors();
  return good;
}

std::optional<std::string> rsa_weakness(Key const& key) {
  if (!key.is_rsa()) return "no RSA key";
  if (key.bits() < kLeastBits || key.bits() > kMostBits)
    return "RSA key of " + std::to_string(key.bits()) + " bits";
  if (key.rsa_exponent() != kExponent) return "RSA key with an exponent other than 65537";
  return std::nullopt;
}

}  // namespace sys
