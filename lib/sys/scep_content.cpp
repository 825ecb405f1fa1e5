#include "sys/scep_content.hpp"

#include <openssl/err.h>

#include "sys/der.hpp"
#include "sys/openssl.hpp"

namespace sys {

namespace {

using BigNumber = ossl::Handle<BIGNUM, BN_free>;
using Integer = ossl::Handle<ASN1_INTEGER, ASN1_INTEGER_free>;

[[noreturn]] void refuse(char const* why) {
  ERR_clear_error();
  throw Error(Fault::bad_request, std::string("read SCEP content: ") + why);
}

std::string_view open_sequence(std::string_view der) {
  auto const content = only_sequence(der);
  if (!content) refuse("not one SEQUENCE");
  return *content;
}

ossl::NamePtr take_name(std::string_view& rest) {
  unsigned char const* cursor = ossl::data(rest);
  ossl::NamePtr name(d2i_X509_NAME(nullptr, &cursor, static_cast<long>(rest.size())));
  if (!name) refuse("no name");
  rest.remove_prefix(static_cast<std::size_t>(cursor - ossl::data(rest)));
  return name;
}

std::string take_name_der(std::string_view& rest) {
  auto const before = rest;
  take_name(rest);
  return std::string(before.substr(0, before.size() - rest.size()));
}

std::string take_serial(std::string_view& rest) {
  unsigned char const* cursor = ossl::data(rest);
  Integer const number(d2i_ASN1_INTEGER(nullptr, &cursor, static_cast<long>(rest.size())));
  if (!number) refuse("no serial number");
  rest.remove_prefix(static_cast<std::size_t>(cursor - ossl::data(rest)));
  BigNumber const value(ASN1_INTEGER_to_BN(number.get(), nullptr));
  if (!value || BN_is_negative(value.get()) != 0) refuse("a serial number below zero");
  std::string out(static_cast<std::size_t>(BN_num_bytes(value.get())), '\0');
  BN_bn2bin(value.get(), reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

}  // namespace

IssuerAndSubject read_issuer_and_subject(std::string_view der) {
  auto rest = open_sequence(der);
  IssuerAndSubject content;
  content.issuer_der = take_name_der(rest);
  content.subject_der = take_name_der(rest);
  if (!rest.empty()) refuse("more than two names");
  return content;
}

IssuerAndSerial read_issuer_and_serial(std::string_view der) {
  auto rest = open_sequence(der);
  IssuerAndSerial content;
  content.issuer_der = take_name_der(rest);
  content.serial = take_serial(rest);
  if (!rest.empty()) refuse("more than a name and a number");
  return content;
}

bool same_name(std::string_view der, std::string_view other_der) {
  try {
    auto const name = take_name(der);
    auto const other = take_name(other_der);
    return der.empty() && other_der.empty() && X509_NAME_cmp(name.get(), other.get()) == 0;
  } catch (Error const& error) {
    if (error.fault() != Fault::bad_request) throw;
    return false;
  }
}

}  // namespace sys
