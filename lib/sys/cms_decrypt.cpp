#include <openssl/cms.h>
#include <openssl/objects.h>

#include "sys/cms.hpp"
#include "sys/openssl.hpp"

namespace sys {

namespace {

// To one recipient, as it is written; several would let a stranger choose how long the search takes.
bool is_recipient(CMS_ContentInfo* cms, Cert const& cert) {
  STACK_OF(CMS_RecipientInfo)* infos = CMS_get0_RecipientInfos(cms);
  if (infos == nullptr || sk_CMS_RecipientInfo_num(infos) != 1) {
    throw Error(Fault::bad_request, "decrypt CMS: exactly one recipient is needed");
  }
  CMS_RecipientInfo* info = sk_CMS_RecipientInfo_value(infos, 0);
  return CMS_RecipientInfo_type(info) == CMS_RECIPINFO_TRANS &&
         CMS_RecipientInfo_ktri_cert_cmp(info, cert.raw()) == 0;
}

}  // namespace

std::optional<std::string> decrypt_enveloped(std::string_view bytes, Cert const& recipient, Key const& key) {
  auto const bio = ossl::memory_bio(bytes);
  ossl::Cms const cms(d2i_CMS_bio(bio.get(), nullptr));
  if (!cms) ossl::fail(Fault::bad_request, "read CMS");
  if (OBJ_obj2nid(CMS_get0_type(cms.get())) != NID_pkcs7_enveloped) {
    throw Error(Fault::bad_request, "read CMS: not EnvelopedData");
  }
  if (!is_recipient(cms.get(), recipient)) return std::nullopt;
  auto const out = ossl::empty_bio();
  if (CMS_decrypt(cms.get(), key.raw(), recipient.raw(), nullptr, out.get(), CMS_BINARY) != 1) {
    ossl::fail(Fault::bad_request, "decrypt CMS");
  }
  return ossl::bio_bytes(out.get());
}

}  // namespace sys
