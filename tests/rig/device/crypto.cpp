#include "crypto.hpp"

#include <ctime>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

namespace device {

Error crypto_error(const std::string& what) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return Error(reason == nullptr ? what : what + " (libcrypto: " + reason + ")");
}

Bio memory_bio() { return Bio(BIO_new(BIO_s_mem())); }

Bio memory_bio(std::string_view bytes) {
  return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

std::string content_of(BIO* bio) {
  char* bytes = nullptr;
  const long length = BIO_get_mem_data(bio, &bytes);
  return length <= 0 ? "" : std::string(bytes, static_cast<std::size_t>(length));
}

Key generate_rsa(int bits) {
  Key key(EVP_RSA_gen(static_cast<unsigned>(bits)), EVP_PKEY_free);
  if (!key) throw crypto_error("cannot make an RSA key");
  return key;
}

Key key_from_pem(std::string_view pem) {
  const Bio bio = memory_bio(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!key) throw crypto_error("cannot read a private key");
  return key;
}

std::string to_pem(EVP_PKEY* key) {
  const Bio bio = memory_bio();
  if (PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    throw crypto_error("cannot write a private key");
  return content_of(bio.get());
}

Certificate certificate_from_pem(std::string_view pem) {
  const Bio bio = memory_bio(pem);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free);
  if (!certificate) throw crypto_error("cannot read a certificate");
  return certificate;
}

Certificate certificate_from_der(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())), X509_free);
  if (!certificate) throw crypto_error("not a DER certificate");
  if (at != end) throw Error("bytes follow the DER certificate");
  return certificate;
}

std::string to_pem(X509* certificate) {
  const Bio bio = memory_bio();
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) throw crypto_error("cannot write a certificate");
  return content_of(bio.get());
}

std::string to_der(X509* certificate) {
  const Bio bio = memory_bio();
  if (i2d_X509_bio(bio.get(), certificate) != 1) throw crypto_error("cannot write a certificate");
  return content_of(bio.get());
}

Identity make_identity(Key key, Certificate certificate) {
  Identity identity{std::move(key), std::move(certificate), "", ""};
  identity.key_pem = to_pem(identity.key.get());
  identity.certificate_pem = to_pem(identity.certificate.get());
  return identity;
}

std::string digest(std::string_view bytes, const EVP_MD* hash) {
  unsigned char result[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), result, &length, hash, nullptr) != 1)
    throw crypto_error("cannot compute a digest");
  return {reinterpret_cast<char*>(result), length};
}

std::string common_name(const X509* certificate) {
  const X509_NAME* name = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return name_text(name);
  unsigned char* text = nullptr;
  const int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (length < 0) return "";
  std::string result(reinterpret_cast<char*>(text), static_cast<std::size_t>(length));
  OPENSSL_free(text);
  return result;
}

std::string name_text(const X509_NAME* name) {
  const Bio bio = memory_bio();
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return content_of(bio.get());
}

std::string date_text(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "?";
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return {text, length};
}

}  // namespace device
