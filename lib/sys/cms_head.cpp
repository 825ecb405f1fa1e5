#include "sys/cms_head.hpp"

#include <openssl/asn1.h>
#include <openssl/cms.h>

#include "sys/der.hpp"
#include "sys/openssl.hpp"

namespace sys {

namespace {

// One signer needs one; some clients list what they could have used too.
constexpr int kMostDigests = 4;

// Goes into the value that begins the bytes, which must be of this kind.
DerValue enter(std::string_view bytes, int tag, int tag_class = V_ASN1_UNIVERSAL) {
  auto const value = read_der(bytes);
  if (!value || value->tag != tag || value->tag_class != tag_class || !value->constructed)
    throw Error(Fault::bad_request, "read CMS: not SignedData");
  return *value;
}

// What stands behind the value that begins the bytes. Of an indefinite length that is not known.
std::string_view skip(std::string_view bytes, int tag) {
  auto const value = read_der(bytes);
  if (!value || value->tag != tag || value->tag_class != V_ASN1_UNIVERSAL || value->indefinite)
    throw Error(Fault::bad_request, "read CMS: not SignedData");
  return value->following;
}

bool at_end(DerValue const& set, std::string_view rest) {
  return set.indefinite ? rest.substr(0, 2) == std::string_view("\0\0", 2) || rest.size() < 2 : rest.empty();
}

}  // namespace

void check_signed_data_head(std::string_view cms) {
  auto const info = enter(cms, V_ASN1_SEQUENCE);
  auto const wrapped = enter(skip(info.content, V_ASN1_OBJECT), 0, V_ASN1_CONTEXT_SPECIFIC);
  auto const data = enter(wrapped.content, V_ASN1_SEQUENCE);
  auto const set = enter(skip(data.content, V_ASN1_INTEGER), V_ASN1_SET);
  auto rest = set.content;
  for (int count = 0; !at_end(set, rest); ++count) {
    if (count == kMostDigests) throw Error(Fault::bad_request, "read CMS: more than four digest algorithms");
    rest = skip(rest, V_ASN1_SEQUENCE);
  }
}

std::optional<Cert> embedded_signer(CMS_ContentInfo_st* cms, CMS_SignerInfo_st* info) {
  ossl::CertStack const certs(CMS_get1_certs(cms));
  for (int i = 0; certs && i < sk_X509_num(certs.get()); ++i) {
    X509* cert = sk_X509_value(certs.get(), i);
    if (CMS_SignerInfo_cert_cmp(info, cert) != 0) continue;
    X509_up_ref(cert);
    return Cert(cert);
  }
  return std::nullopt;
}

}  // namespace sys
