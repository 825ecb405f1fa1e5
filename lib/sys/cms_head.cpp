#include "sys/cms_head.hpp"

#include <openssl/asn1.h>
#include <openssl/cms.h>
#include <openssl/err.h>

#include "sys/openssl.hpp"

namespace sys {

namespace {

// One signer needs one; some clients list what they could have used too.
constexpr int kMostDigests = 4;

[[noreturn]] void refuse(char const* why) {
  ERR_clear_error();
  throw Error(Fault::bad_request, std::string("read CMS: ") + why);
}

// Header by header, without recursion. Of an indefinite length only the headers inside are known.
class Walk {
 public:
  explicit Walk(std::string_view bytes)
      : at_(ossl::data(bytes)), end_(ossl::data(bytes) + bytes.size()), until_(end_) {}

  // Goes to what is inside the next value, which must be of this kind.
  void enter(int tag, int tag_class) {
    auto const header = read();
    if (header.tag != tag || header.tag_class != tag_class || !header.constructed) refuse("not SignedData");
    indefinite_ = header.indefinite;
    until_ = header.indefinite ? end_ : at_ + header.length;
  }

  void skip(int tag) {
    auto const header = read();
    if (header.tag != tag || header.tag_class != V_ASN1_UNIVERSAL || header.indefinite)
      refuse("not SignedData");
    at_ += header.length;
  }

  // Whether what was entered last has ended.
  [[nodiscard]] bool at_end() const {
    if (!indefinite_) return at_ >= until_;
    return end_ - at_ < 2 || (at_[0] == 0 && at_[1] == 0);
  }

 private:
  struct Header {
    int tag = 0;
    int tag_class = 0;
    long length = 0;
    bool constructed = false;
    bool indefinite = false;
  };

  Header read() {
    Header header;
    int const form = ASN1_get_object(&at_, &header.length, &header.tag, &header.tag_class, end_ - at_);
    if ((form & 0x80) != 0) refuse("not SignedData");
    header.constructed = (form & V_ASN1_CONSTRUCTED) != 0;
    header.indefinite = (form & 1) != 0;
    return header;
  }

  unsigned char const* at_;
  unsigned char const* end_;
  unsigned char const* until_;
  bool indefinite_ = false;
};

}  // namespace

void check_signed_data_head(std::string_view cms) {
  Walk walk(cms);
  walk.enter(V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
  walk.skip(V_ASN1_OBJECT);
  walk.enter(0, V_ASN1_CONTEXT_SPECIFIC);
  walk.enter(V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
  walk.skip(V_ASN1_INTEGER);
  walk.enter(V_ASN1_SET, V_ASN1_UNIVERSAL);
  for (int count = 0; !walk.at_end(); ++count) {
    if (count == kMostDigests) refuse("more than four digest algorithms");
    walk.skip(V_ASN1_SEQUENCE);
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
