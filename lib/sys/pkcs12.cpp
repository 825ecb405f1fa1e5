#include "sys/pkcs12.hpp"

#include <openssl/objects.h>
#include <openssl/pkcs12.h>

#include "sys/der.hpp"
#include "sys/legacy_context.hpp"
#include "sys/openssl.hpp"

namespace sys {

namespace {

using Pkcs12 = ossl::Handle<PKCS12, PKCS12_free>;

Pkcs12 parse(std::string_view der, OSSL_LIB_CTX* context) {
  PKCS12* file = PKCS12_init_ex(NID_pkcs7_data, context, nullptr);
  if (file == nullptr) ossl::fail(Fault::internal, "read PKCS#12");
  auto const bio = ossl::memory_bio(der);
  // Read into the object that is bound to the context; a failure may have freed it, and then says so in
  // `file`.
  bool const good = d2i_PKCS12_bio(bio.get(), &file) != nullptr;
  Pkcs12 owned(file);
  if (!good) ossl::fail(Fault::bad_request, "read PKCS#12");
  return owned;
}

// Without a MAC the pass phrase shows itself wrong when the content is opened.
bool opens(PKCS12* file, SecretBytes const& pass_phrase) {
  if (PKCS12_mac_present(file) == 0) return true;
  auto const length = static_cast<int>(pass_phrase.view().size());
  bool const good = PKCS12_verify_mac(file, pass_phrase.str().c_str(), length) == 1 ||
                    (length == 0 && PKCS12_verify_mac(file, nullptr, 0) == 1);
  ossl::take_errors();
  return good;
}

// By way of its bytes: what leaves here is bound to the process's own context.
Key own_key(EVP_PKEY* key) { return Key::read_private(Key(key).private_der().view()); }

}  // namespace

bool looks_like_pkcs12(std::string_view der) noexcept {
  constexpr std::string_view kVersion3("\x02\x01\x03", 3);
  auto const outer = read_der(der);
  return outer && outer->tag == 16 && outer->content.starts_with(kVersion3);
}

std::optional<Pkcs12Content> read_pkcs12(std::string_view der, SecretBytes const& pass_phrase) {
  LegacyContext const legacy;
  Pkcs12 const file = parse(der, legacy.raw());
  if (!opens(file.get(), pass_phrase)) return std::nullopt;
  EVP_PKEY* key = nullptr;
  X509* leaf = nullptr;
  STACK_OF(X509)* others = nullptr;
  int const parsed = PKCS12_parse(file.get(), pass_phrase.str().c_str(), &key, &leaf, &others);
  ossl::KeyPtr owned_key(key);
  ossl::X509Ptr const owned_leaf(leaf);
  ossl::CertStack const owned_others(others);
  if (parsed != 1) {
    if (PKCS12_mac_present(file.get()) == 0) {
      ossl::take_errors();
      return std::nullopt;
    }
    ossl::fail(Fault::bad_request, "read PKCS#12: its pass phrase fits, its content cannot be read");
  }
  Pkcs12Content out;
  if (owned_key) out.key = own_key(owned_key.release());
  if (owned_leaf) out.certs.push_back(Cert::from_der(ossl::to_der<X509>(leaf, i2d_X509)));
  for (int i = 0; i < sk_X509_num(others); ++i) {
    out.certs.push_back(Cert::from_der(ossl::to_der<X509>(sk_X509_value(others, i), i2d_X509)));
  }
  return out;
}

}  // namespace sys
