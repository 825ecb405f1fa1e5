#include "sys/signature.hpp"

#include "sys/openssl.hpp"

namespace sys {

namespace {

EVP_MD const* algorithm(SignatureDigest digest) {
  return digest == SignatureDigest::sha1 ? EVP_sha1() : EVP_sha256();
}

}  // namespace

std::string sign_rsa(Key const& key, SignatureDigest digest, std::string_view bytes) {
  if (!key.is_rsa()) throw Error(Fault::bad_request, "sign: an RSA key is needed");
  ossl::MdCtx const context(EVP_MD_CTX_new());
  std::size_t length = 0;
  if (!context || EVP_DigestSignInit(context.get(), nullptr, algorithm(digest), nullptr, key.raw()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &length, ossl::data(bytes), bytes.size()) != 1) {
    ossl::fail(Fault::internal, "sign");
  }
  std::string out(length, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length, ossl::data(bytes),
                     bytes.size()) != 1) {
    ossl::fail(Fault::internal, "sign");
  }
  out.resize(length);
  return out;
}

bool verify_rsa(Key const& key, SignatureDigest digest, std::string_view bytes, std::string_view signature) {
  if (!key.is_rsa()) return false;
  ossl::MdCtx const context(EVP_MD_CTX_new());
  bool const good =
      context && EVP_DigestVerifyInit(context.get(), nullptr, algorithm(digest), nullptr, key.raw()) == 1 &&
      EVP_DigestVerify(context.get(), ossl::data(signature), signature.size(), ossl::data(bytes),
                       bytes.size()) == 1;
  ossl::take_errors();
  return good;
}

}  // namespace sys
