#include "sys/key.hpp"

#include <array>
#include <cstring>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "sys/der.hpp"
#include "sys/legacy_context.hpp"
#include "sys/openssl.hpp"

namespace sys {

namespace {

using Decoder = ossl::Handle<OSSL_DECODER_CTX, OSSL_DECODER_CTX_free>;
using BigNumber = ossl::Handle<BIGNUM, BN_free>;

int give_pass_phrase(char* buffer, int size, int /*encrypting*/, void* user) {
  auto const* phrase = static_cast<SecretBytes const*>(user);
  auto const length = static_cast<int>(phrase->view().size());
  if (length == 0 || length > size) return -1;
  std::memcpy(buffer, phrase->view().data(), phrase->view().size());
  return length;
}

ossl::KeyPtr decode(std::string_view bytes, SecretBytes const& pass_phrase, OSSL_LIB_CTX* context) {
  EVP_PKEY* key = nullptr;
  Decoder const decoder(
      OSSL_DECODER_CTX_new_for_pkey(&key, nullptr, nullptr, nullptr, EVP_PKEY_KEYPAIR, context, nullptr));
  if (!decoder) ossl::fail(Fault::internal, "read key");
  OSSL_DECODER_CTX_set_pem_password_cb(decoder.get(), give_pass_phrase,
                                       const_cast<SecretBytes*>(&pass_phrase));  // read only, behind void*
  unsigned char const* cursor = ossl::data(bytes);
  std::size_t left = bytes.size();
  if (OSSL_DECODER_from_data(decoder.get(), &cursor, &left) != 1) return ossl::KeyPtr();
  return ossl::KeyPtr(key);
}

// Old key files are sealed with single DES or RC2. By way of its bytes, so that the key is bound to the
// process's own context like any other.
ossl::KeyPtr decode_legacy(std::string_view bytes, SecretBytes const& pass_phrase) {
  LegacyContext const legacy;
  auto key = decode(bytes, pass_phrase, legacy.raw());
  if (!key) return key;
  return decode(Key(key.release()).private_der().view(), {}, nullptr);
}

// EncryptedPrivateKeyInfo (RFC 5958 section 3): SEQUENCE { SEQUENCE { OID ... }, OCTET STRING } and no more.
bool is_encrypted_pkcs8(std::string_view der) {
  constexpr int kSequence = 16;
  constexpr int kOctets = 4;
  constexpr char kObjectId = 0x06;
  auto const outer = only_sequence(der);
  auto const algorithm = outer ? read_der(*outer) : std::nullopt;
  if (!algorithm || algorithm->tag != kSequence || !algorithm->content.starts_with(kObjectId)) return false;
  auto const body = read_der(algorithm->following);
  return body && body->tag == kOctets && body->following.empty();
}

}  // namespace

Key::Key(evp_pkey_st* owned) : key_(owned, EVP_PKEY_free) {
  if (owned == nullptr) throw Error(Fault::internal, "no key");
}

Key Key::generate_rsa(unsigned bits) {
  ossl::KeyPtr key(EVP_RSA_gen(bits));
  if (!key) ossl::fail(Fault::internal, "generate RSA key");
  return Key(key.release());
}

Key Key::generate_ec(Curve curve) {
  ossl::KeyPtr key(EVP_EC_gen(curve == Curve::p384 ? "P-384" : "P-256"));
  if (!key) ossl::fail(Fault::internal, "generate EC key");
  return Key(key.release());
}

bool Key::is_encrypted(std::string_view bytes) {
  return bytes.find("ENCRYPTED") != std::string_view::npos || is_encrypted_pkcs8(bytes);
}

Key Key::read_private(std::string_view bytes, SecretBytes const& pass_phrase) {
  ossl::KeyPtr key = decode(bytes, pass_phrase, nullptr);
  bool const encrypted = !key && is_encrypted(bytes);
  if (encrypted && !pass_phrase.empty()) key = decode_legacy(bytes, pass_phrase);
  if (key) return Key(key.release());
  ossl::take_errors();
  if (encrypted && pass_phrase.empty()) {
    throw Error(Fault::bad_request, "read private key: it is encrypted; give its pass phrase");
  }
  if (encrypted) throw Error(Fault::bad_request, "read private key: the pass phrase does not open it");
  if (bytes.find("BEGIN CERTIFICATE") != std::string_view::npos) {
    throw Error(Fault::bad_request, "read private key: the file holds a certificate, no private key");
  }
  throw Error(Fault::bad_request, "read private key: neither PEM nor DER of a private key");
}

Key Key::read_public(std::string_view spki_der) {
  unsigned char const* cursor = ossl::data(spki_der);
  ossl::KeyPtr key(d2i_PUBKEY(nullptr, &cursor, static_cast<long>(spki_der.size())));
  if (!key || cursor != ossl::data(spki_der) + spki_der.size())
    ossl::fail(Fault::bad_request, "read public key");
  return Key(key.release());
}

SecretBytes Key::private_pem() const {
  auto const bio = ossl::empty_bio();
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), raw(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    ossl::fail(Fault::internal, "write key");
  }
  return SecretBytes(ossl::bio_bytes(bio.get()));
}

SecretBytes Key::private_der() const {
  auto const bio = ossl::empty_bio();
  if (i2d_PKCS8PrivateKey_bio(bio.get(), raw(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    ossl::fail(Fault::internal, "write key");
  }
  return SecretBytes(ossl::bio_bytes(bio.get()));
}

std::string Key::public_der() const { return ossl::to_der<EVP_PKEY>(raw(), i2d_PUBKEY); }

bool Key::is_rsa() const { return EVP_PKEY_get_base_id(raw()) == EVP_PKEY_RSA; }
bool Key::is_ec() const { return EVP_PKEY_get_base_id(raw()) == EVP_PKEY_EC; }
unsigned Key::bits() const { return static_cast<unsigned>(EVP_PKEY_get_bits(raw())); }

std::string Key::kind_name() const {
  if (is_rsa()) return "rsa-" + std::to_string(bits());
  std::array<char, 64> group{};
  std::size_t length = 0;
  if (is_ec() && EVP_PKEY_get_group_name(raw(), group.data(), group.size(), &length) == 1) {
    std::string_view const name(group.data(), length);
    if (name == SN_X9_62_prime256v1) return "p-256";
    if (name == SN_secp384r1) return "p-384";
    return std::string(name);
  }
  char const* name = EVP_PKEY_get0_type_name(raw());
  return name == nullptr ? "unknown" : name;
}

std::optional<std::uint64_t> Key::rsa_exponent() const {
  BIGNUM* exponent = nullptr;
  if (!is_rsa() || EVP_PKEY_get_bn_param(raw(), OSSL_PKEY_PARAM_RSA_E, &exponent) != 1) return std::nullopt;
  BigNumber const owned(exponent);
  if (BN_num_bits(owned.get()) > 64) return std::nullopt;
  return static_cast<std::uint64_t>(BN_get_word(owned.get()));
}

bool Key::same_public_key(Key const& other) const { return EVP_PKEY_eq(raw(), other.raw()) == 1; }

int Key::certificate_algorithm() const {
  constexpr unsigned kBitsOfP256 = 256;
  if (!is_ec()) return NID_sha256WithRSAEncryption;
  return bits() > kBitsOfP256 ? NID_ecdsa_with_SHA384 : NID_ecdsa_with_SHA256;
}

std::string Key::sign_certificate(std::string_view tbs) const {
  bool const longer = certificate_algorithm() == NID_ecdsa_with_SHA384;
  ossl::MdCtx const context(EVP_MD_CTX_new());
  std::size_t length = 0;
  if (!context ||
      EVP_DigestSignInit(context.get(), nullptr, longer ? EVP_sha384() : EVP_sha256(), nullptr, raw()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &length, ossl::data(tbs), tbs.size()) != 1) {
    ossl::fail(Fault::internal, "sign");
  }
  std::string signature(length, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                     ossl::data(tbs), tbs.size()) != 1) {
    ossl::fail(Fault::internal, "sign");
  }
  signature.resize(length);
  return signature;
}

}  // namespace sys
