#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "sys/digest.hpp"
#include "sys/openssl.hpp"
#include "sys/text.hpp"
#include "sys/x509.hpp"

namespace sys {

namespace {

using BigNumber = ossl::Handle<BIGNUM, BN_free>;
using Integer = ossl::Handle<ASN1_INTEGER, ASN1_INTEGER_free>;
using Extension = ossl::Handle<X509_EXTENSION, X509_EXTENSION_free>;
using Octets = ossl::Handle<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;
using AuthorityKeyId = ossl::Handle<AUTHORITY_KEYID, AUTHORITY_KEYID_free>;

void check(int result, char const* doing) {
  if (result != 1) ossl::fail(Fault::internal, std::string("build certificate: ") + doing);
}

void add_subject(X509* cert, NameParts const& parts) {
  X509_NAME* name = X509_get_subject_name(cert);
  for (auto const& [type, value] : parts) {
    // MBSTRING_UTF8 lets OpenSSL take the type that the attribute's standard asks for (IA5String for
    // emailAddress).
    check(X509_NAME_add_entry_by_txt(name, type.c_str(), MBSTRING_UTF8, ossl::data(value),
                                     static_cast<int>(value.size()), -1, 0),
          "subject");
  }
}

void add_serial(X509* cert, std::string_view serial) {
  BigNumber const number(BN_bin2bn(ossl::data(serial), static_cast<int>(serial.size()), nullptr));
  Integer const integer(BN_to_ASN1_INTEGER(number.get(), nullptr));
  check(integer && X509_set_serialNumber(cert, integer.get()) == 1 ? 1 : 0, "serial");
}

// RFC 5280 section 4.2.1.2 (1): SHA-1 of the subjectPublicKey bits; a name, not a proof.
std::string key_id(Key const& key) {
  X509_PUBKEY* spki = nullptr;
  check(X509_PUBKEY_set(&spki, key.raw()), "key id");
  ossl::Handle<X509_PUBKEY, X509_PUBKEY_free> const owned(spki);
  unsigned char const* bits = nullptr;
  int length = 0;
  X509_PUBKEY_get0_param(nullptr, &bits, &length, nullptr, owned.get());
  return sha1({reinterpret_cast<char const*>(bits), static_cast<std::size_t>(length)});
}

// The issuer's own identifier where it has one: an imported CA may have made it otherwise.
std::string issuer_key_id(std::optional<Cert> const& issuer, Key const& issuer_key) {
  if (issuer) {
    if (auto const* id = X509_get0_subject_key_id(issuer->raw()); id != nullptr) {
      return {reinterpret_cast<char const*>(ASN1_STRING_get0_data(id)),
              static_cast<std::size_t>(ASN1_STRING_length(id))};
    }
  }
  return key_id(issuer_key);
}

Octets octets(std::string_view bytes) {
  Octets out(ASN1_OCTET_STRING_new());
  check(
      out && ASN1_OCTET_STRING_set(out.get(), ossl::data(bytes), static_cast<int>(bytes.size())) == 1 ? 1 : 0,
      "octets");
  return out;
}

void add_text_extension(X509* cert, int nid, std::string const& value) {
  Extension const extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()));
  if (!extension) ossl::fail(Fault::internal, "build certificate: extension " + value);
  check(X509_add_ext(cert, extension.get(), -1), "extension");
}

std::string join(std::vector<std::string> const& parts) {
  std::string out;
  for (auto const& part : parts) out += (out.empty() ? "" : ",") + part;
  return out;
}

void add_usages(X509* cert, CertTemplate const& wanted) {
  std::vector<std::string> usage{"critical"};
  if ((wanted.key_usage & kDigitalSignature) != 0) usage.emplace_back("digitalSignature");
  if ((wanted.key_usage & kKeyEncipherment) != 0) usage.emplace_back("keyEncipherment");
  if ((wanted.key_usage & kKeyCertSign) != 0) usage.emplace_back("keyCertSign");
  if ((wanted.key_usage & kCrlSign) != 0) usage.emplace_back("cRLSign");
  if (wanted.key_usage != 0) add_text_extension(cert, NID_key_usage, join(usage));
  std::vector<std::string> extended;
  if (wanted.client_auth) extended.emplace_back("clientAuth");
  if (wanted.server_auth) extended.emplace_back("serverAuth");
  if (!extended.empty()) add_text_extension(cert, NID_ext_key_usage, join(extended));
}

// Values are put in as they are, without OpenSSL's configuration syntax in between.
void add_sans(X509* cert, CertTemplate const& wanted) {
  ossl::Handle<GENERAL_NAMES, GENERAL_NAMES_free> const names(GENERAL_NAMES_new());
  auto const add = [&](int type, std::string const& value) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    check(name != nullptr && text != nullptr ? 1 : 0, "names");
    ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
    GENERAL_NAME_set0_value(name, type, text);
    check(sk_GENERAL_NAME_push(names.get(), name) > 0 ? 1 : 0, "names");
  };
  for (auto const& uri : wanted.uri_sans) add(GEN_URI, uri);
  for (auto const& dns : wanted.dns_sans) add(GEN_DNS, dns);
  // RFC 5280 section 4.1.2.6: critical where the subject is empty.
  int const critical = wanted.subject.empty() ? 1 : 0;
  if (sk_GENERAL_NAME_num(names.get()) > 0) {
    check(X509_add1_ext_i2d(cert, NID_subject_alt_name, names.get(), critical, 0), "names");
  }
}

void add_extensions(X509* cert, CertTemplate const& wanted, Key const& subject_key,
                    std::string const& authority) {
  std::string constraints = wanted.ca ? "critical,CA:TRUE" : "critical,CA:FALSE";
  if (wanted.ca && wanted.path_length) constraints += ",pathlen:" + std::to_string(*wanted.path_length);
  add_text_extension(cert, NID_basic_constraints, constraints);
  add_usages(cert, wanted);
  auto const own = octets(key_id(subject_key));
  check(X509_add1_ext_i2d(cert, NID_subject_key_identifier, own.get(), 0, 0), "subject key id");
  AuthorityKeyId const id(AUTHORITY_KEYID_new());
  check(id ? 1 : 0, "authority key id");
  id->keyid = octets(authority).release();
  check(X509_add1_ext_i2d(cert, NID_authority_key_identifier, id.get(), 0, 0), "authority key id");
  add_sans(cert, wanted);
}

void append_length(std::string& out, std::size_t length) {
  if (length < 0x80) {
    out.push_back(static_cast<char>(length));
    return;
  }
  std::string bytes;
  for (std::size_t rest = length; rest > 0; rest >>= 8U)
    bytes.insert(bytes.begin(), static_cast<char>(rest & 0xffU));
  out.push_back(static_cast<char>(0x80U | bytes.size()));
  out += bytes;
}

std::string der(char tag, std::string_view content) {
  std::string out(1, tag);
  append_length(out, content.size());
  out += content;
  return out;
}

// The AlgorithmIdentifier of the signature; it must be the same inside and outside the TBS.
void set_algorithm(X509_ALGOR* algorithm, Key const& key) {
  check(X509_ALGOR_set0(algorithm, OBJ_nid2obj(key.certificate_algorithm()),
                        key.is_rsa() ? V_ASN1_NULL : V_ASN1_UNDEF, nullptr),
        "algorithm");
}

std::string algorithm_of(Key const& key) {
  ossl::Handle<X509_ALGOR, X509_ALGOR_free> const algorithm(X509_ALGOR_new());
  check(algorithm ? 1 : 0, "algorithm");
  set_algorithm(algorithm.get(), key);
  return ossl::to_der<X509_ALGOR>(algorithm.get(), i2d_X509_ALGOR);
}

}  // namespace

std::string build_tbs(CertTemplate const& wanted, Key const& subject_key, std::optional<Cert> const& issuer,
                      Key const& issuer_key) {
  ossl::X509Ptr const cert(X509_new());
  check(cert ? 1 : 0, "allocate");
  check(X509_set_version(cert.get(), X509_VERSION_3), "version");
  add_serial(cert.get(), wanted.serial);
  add_subject(cert.get(), wanted.subject);
  X509_NAME const* issuer_name =
      issuer ? X509_get_subject_name(issuer->raw()) : X509_get_subject_name(cert.get());
  check(X509_set_issuer_name(cert.get(), issuer_name), "issuer");
  check(ASN1_TIME_set(X509_getm_notBefore(cert.get()), unix_seconds(wanted.not_before)) != nullptr ? 1 : 0,
        "date");
  check(ASN1_TIME_set(X509_getm_notAfter(cert.get()), unix_seconds(wanted.not_after)) != nullptr ? 1 : 0,
        "date");
  check(X509_set_pubkey(cert.get(), subject_key.raw()), "public key");
  add_extensions(cert.get(), wanted, subject_key, issuer_key_id(issuer, issuer_key));
  // The algorithm inside the TBS: set through the certificate's own field, which X509_sign would do too.
  set_algorithm(const_cast<X509_ALGOR*>(X509_get0_tbs_sigalg(cert.get())), issuer_key);
  unsigned char* bytes = nullptr;
  int const length = i2d_re_X509_tbs(cert.get(), &bytes);
  if (length <= 0) ossl::fail(Fault::internal, "build certificate: encode");
  std::string out(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(length));
  OPENSSL_free(bytes);
  return out;
}

Cert sign_tbs(std::string_view tbs, Key const& issuer_key) {
  constexpr char kSequence = 0x30;
  constexpr char kBitString = 0x03;
  std::string const signature = issuer_key.sign_certificate(tbs);
  std::string const bits = std::string(1, '\0') + signature;  // no unused bits
  return Cert::from_der(der(kSequence, std::string(tbs) + algorithm_of(issuer_key) + der(kBitString, bits)));
}

Cert issue(CertTemplate const& wanted, Key const& subject_key, std::optional<Cert> const& issuer,
           Key const& issuer_key) {
  return sign_tbs(build_tbs(wanted, subject_key, issuer, issuer_key), issuer_key);
}

std::string random_serial() {
  std::string serial = random_bytes(16);
  auto first = static_cast<unsigned char>(serial[0] & 0x7f);
  serial[0] = static_cast<char>(first == 0 ? 1 : first);
  return serial;
}

}  // namespace sys
