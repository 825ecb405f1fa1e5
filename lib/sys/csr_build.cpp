#include <openssl/pem.h>

#include "sys/csr.hpp"
#include "sys/openssl.hpp"

namespace sys {

namespace {

std::string cannot_be(std::string const& type, std::string const& value) {
  std::string out = "build certification request: ";
  out.append(type).append(" cannot be \"").append(value).append("\": ");
  return out;
}

}  // namespace

Csr Csr::build(NameParts const& subject, Key const& key) {
  ossl::ReqPtr request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.raw()) != 1) {
    ossl::fail(Fault::internal, "build certification request");
  }
  X509_NAME* name = X509_REQ_get_subject_name(request.get());
  for (auto const& [type, value] : subject) {
    // As for certificates: OpenSSL takes the type that the attribute's standard asks for, and refuses what is
    // too long for it.
    if (X509_NAME_add_entry_by_txt(name, type.c_str(), MBSTRING_UTF8, ossl::data(value),
                                   static_cast<int>(value.size()), -1, 0) != 1) {
      throw Error(Fault::bad_request, cannot_be(type, value) + ossl::take_errors());
    }
  }
  if (X509_REQ_sign(request.get(), key.raw(), EVP_sha256()) <= 0) {
    ossl::fail(Fault::internal, "sign certification request");
  }
  return from_der(ossl::to_der<X509_REQ>(request.get(), i2d_X509_REQ));
}

std::string Csr::der() const { return ossl::to_der<X509_REQ>(request_.get(), i2d_X509_REQ); }

std::string Csr::pem() const {
  auto const bio = ossl::empty_bio();
  if (PEM_write_bio_X509_REQ(bio.get(), request_.get()) != 1) {
    ossl::fail(Fault::internal, "write certification request");
  }
  return ossl::bio_bytes(bio.get());
}

}  // namespace sys
