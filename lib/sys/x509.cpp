#include "sys/x509.hpp"

#include <array>
#include <ctime>

#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "sys/der.hpp"
#include "sys/digest.hpp"
#include "sys/openssl.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

using Names = ossl::Handle<GENERAL_NAMES, GENERAL_NAMES_free>;
using Store = ossl::Handle<X509_STORE, X509_STORE_free>;
using StoreCtx = ossl::Handle<X509_STORE_CTX, X509_STORE_CTX_free>;
using BigNumber = ossl::Handle<BIGNUM, BN_free>;

constexpr std::size_t kMostInBundle = 100;

Time to_time(ASN1_TIME const* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) ossl::fail(Fault::bad_request, "read date of certificate");
  return from_unix(timegm(&parts));
}

std::string print_name(X509_NAME const* name) {
  auto const bio = ossl::empty_bio();
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
  return ossl::bio_bytes(bio.get());
}

std::string utf8(ASN1_STRING const* text) {
  unsigned char* bytes = nullptr;
  int const length = ASN1_STRING_to_UTF8(&bytes, text);
  if (length < 0) return {};
  std::string out(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(length));
  OPENSSL_free(bytes);
  return out;
}

std::vector<std::string> sans(X509 const* cert, int type) {
  std::vector<std::string> out;
  Names const names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    GENERAL_NAME const* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != type) continue;
    auto const* text = static_cast<ASN1_STRING const*>(type == GEN_URI ? name->d.uniformResourceIdentifier
                                                                       : name->d.dNSName);
    out.emplace_back(reinterpret_cast<char const*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  return out;
}

}  // namespace

std::string certificate_bytes(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  auto const begin = pem.find(kBegin);
  auto const end = begin == std::string_view::npos ? begin : pem.find("-----END CERTIFICATE-----", begin);
  if (end != std::string_view::npos) {
    auto const start = begin + kBegin.size();
    auto der = unbase64(pem.substr(start, end - start));
    if (der && only_sequence(*der)) return *std::move(der);
  }
  throw Error(Fault::bad_request, "read certificate: no PEM block of one");
}

Cert::Cert(x509_st* owned) : cert_(owned, X509_free) {
  if (owned == nullptr) throw Error(Fault::internal, "no certificate");
}

Cert Cert::from_der(std::string_view der) {
  unsigned char const* cursor = ossl::data(der);
  ossl::X509Ptr cert(d2i_X509(nullptr, &cursor, static_cast<long>(der.size())));
  if (!cert) ossl::fail(Fault::bad_request, "read certificate");
  if (cursor != ossl::data(der) + der.size())
    throw Error(Fault::bad_request, "read certificate: bytes follow it");
  return Cert(cert.release());
}

Cert Cert::from_pem(std::string_view pem) {
  auto const bio = ossl::memory_bio(pem);
  ossl::X509Ptr cert(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!cert) ossl::fail(Fault::bad_request, "read certificate: no PEM block of one");
  return Cert(cert.release());
}

Cert Cert::read(std::string_view bytes) {
  return bytes.find("-----BEGIN ") != std::string_view::npos ? from_pem(bytes) : from_der(bytes);
}

std::vector<Cert> Cert::read_all(std::string_view bytes) {
  if (bytes.find("-----BEGIN ") == std::string_view::npos) return {from_der(bytes)};
  std::vector<Cert> out;
  auto const bio = ossl::memory_bio(bytes);
  while (ossl::X509Ptr cert{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    if (out.size() == kMostInBundle)
      throw Error(Fault::bad_request, "read certificates: more than 100 in one file");
    out.emplace_back(cert.release());
  }
  ossl::take_errors();  // the end of the file is an error there
  if (out.empty()) throw Error(Fault::bad_request, "read certificates: none in the file");
  return out;
}

std::string Cert::der() const { return ossl::to_der<X509>(raw(), i2d_X509); }

std::string Cert::pem() const {
  auto const bio = ossl::empty_bio();
  if (PEM_write_bio_X509(bio.get(), raw()) != 1) ossl::fail(Fault::internal, "write certificate");
  return ossl::bio_bytes(bio.get());
}

std::string Cert::sha256() const { return sys::sha256(der()); }
std::string Cert::spki_sha256() const { return sys::sha256(public_key().public_der()); }

std::string Cert::serial() const {
  BigNumber const number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(raw()), nullptr));
  if (!number) ossl::fail(Fault::bad_request, "read serial number");
  std::string out(static_cast<std::size_t>(BN_num_bytes(number.get())), '\0');
  BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

std::string Cert::subject() const { return print_name(X509_get_subject_name(raw())); }
std::string Cert::issuer() const { return print_name(X509_get_issuer_name(raw())); }
std::string Cert::subject_der() const {
  return ossl::to_der<X509_NAME>(X509_get_subject_name(raw()), i2d_X509_NAME);
}
std::string Cert::issuer_der() const {
  return ossl::to_der<X509_NAME>(X509_get_issuer_name(raw()), i2d_X509_NAME);
}

std::optional<std::string> Cert::subject_value(std::string_view oid_or_name) const {
  int const nid = OBJ_txt2nid(std::string(oid_or_name).c_str());
  X509_NAME const* name = X509_get_subject_name(raw());
  int const at = nid == NID_undef ? -1 : X509_NAME_get_index_by_NID(name, nid, -1);
  if (at < 0) return std::nullopt;
  return utf8(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

std::vector<std::string> Cert::uri_sans() const { return sans(raw(), GEN_URI); }
std::vector<std::string> Cert::dns_sans() const { return sans(raw(), GEN_DNS); }
Time Cert::not_before() const { return to_time(X509_get0_notBefore(raw())); }
Time Cert::not_after() const { return to_time(X509_get0_notAfter(raw())); }

Key Cert::public_key() const {
  ossl::KeyPtr key(X509_get_pubkey(raw()));
  if (!key) ossl::fail(Fault::bad_request, "read public key of certificate");
  return Key(key.release());
}

bool Cert::is_ca() const { return X509_check_ca(raw()) == 1; }

unsigned Cert::key_usage() const {
  std::uint32_t const flags = X509_get_key_usage(raw());
  unsigned mask = 0;
  if ((flags & KU_DIGITAL_SIGNATURE) != 0) mask |= kDigitalSignature;
  if ((flags & KU_KEY_ENCIPHERMENT) != 0) mask |= kKeyEncipherment;
  if ((flags & KU_KEY_CERT_SIGN) != 0) mask |= kKeyCertSign;
  if ((flags & KU_CRL_SIGN) != 0) mask |= kCrlSign;
  return mask;
}

bool Cert::allows_client_auth() const { return (X509_get_extended_key_usage(raw()) & XKU_SSL_CLIENT) != 0; }

// Not X509_check_issued: signers without keyCertSign (Apple's, Go's) would fail it although they signed
// themselves.
bool Cert::self_signed() const {
  bool const good = X509_self_signed(raw(), 1) == 1;
  if (!good) ossl::take_errors();
  return good;
}

bool Cert::signed_by(Cert const& issuer) const {
  bool const names = X509_NAME_cmp(X509_get_issuer_name(raw()), X509_get_subject_name(issuer.raw())) == 0;
  bool const good = names && X509_verify(raw(), X509_get0_pubkey(issuer.raw())) == 1;
  if (!good) ossl::take_errors();
  return good;
}

ChainCheck check_client_chain(Cert const& leaf, std::vector<Cert> const& trusted, std::optional<Time> at) {
  Store const store(X509_STORE_new());
  StoreCtx const context(X509_STORE_CTX_new());
  if (!store || !context) ossl::fail(Fault::internal, "check chain");
  for (auto const& anchor : trusted) X509_STORE_add_cert(store.get(), anchor.raw());
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf.raw(), nullptr) != 1)
    ossl::fail(Fault::internal, "check chain");
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT);
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
  if (at) {
    X509_VERIFY_PARAM_set_time(param, static_cast<std::time_t>(unix_seconds(*at)));
  } else {
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
  }
  bool const good = X509_verify_cert(context.get()) == 1;
  ossl::take_errors();
  return {good, good ? "" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))};
}

}  // namespace sys
