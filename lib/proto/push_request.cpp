#include "proto/push_request.hpp"

#include <algorithm>
#include <optional>

#include "sys/csr.hpp"
#include "sys/error.hpp"
#include "sys/plist.hpp"
#include "sys/text.hpp"

namespace proto {

namespace {

using sys::Error;
using sys::Fault;

constexpr char const* kCsr = "PushCertRequestCSR";
constexpr char const* kChain = "PushCertCertificateChain";
constexpr char const* kSignature = "PushCertSignature";
constexpr std::size_t kLongestChain = 10;

[[noreturn]] void refuse(std::string const& why) {
  throw Error(Fault::bad_request, "read push certificate request: " + why);
}

bool is_xml(std::string_view text) { return text.starts_with("<?xml") || text.starts_with("<plist"); }

std::string string_of(sys::Plist const& plist, char const* key) {
  auto const* value = plist.find(key);
  if (value == nullptr) refuse(std::string(key) + " is missing");
  auto const* text = value->string();
  if (text == nullptr) {
    refuse(std::string(key) + " is not a string" +
           (value->data() != nullptr ? ": it was written as <data>, the portal reads <string>" : ""));
  }
  return *text;
}

// The first bytes of the content type: SEQUENCE, then OBJECT IDENTIFIER 1.2.840.113549.1.7.3 (EnvelopedData).
bool is_enveloped(std::string_view bytes) {
  constexpr std::string_view kEnveloped("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", 11);
  constexpr std::size_t kHead = 32;
  return bytes.starts_with('\x30') && bytes.substr(0, kHead).find(kEnveloped) != std::string_view::npos;
}

std::string without_space(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char const c : text) {
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') out.push_back(c);
  }
  return out;
}

// Issuer of `cert` in the pool; one that is valid now before one that is not, then the one good longest.
std::optional<sys::Cert> issuer_in(std::vector<sys::Cert> const& pool, sys::Cert const& cert, sys::Time now) {
  std::optional<sys::Cert> best;
  for (auto const& candidate : pool) {
    if (!cert.signed_by(candidate)) continue;
    bool const better = !best || std::pair(candidate.valid_at(now), candidate.not_after()) >
                                     std::pair(best->valid_at(now), best->not_after());
    if (better) best = candidate;
  }
  return best;
}

}  // namespace

std::string write_push_request(std::string_view csr_der, std::vector<sys::Cert> const& chain,
                               std::string_view signature) {
  std::string pem;
  for (auto const& cert : chain) pem += cert.pem();
  return sys::base64(sys::write_plist(sys::Plist(
      sys::PlistDict{{kCsr, sys::base64(csr_der)}, {kChain, pem}, {kSignature, sys::base64(signature)}})));
}

PushRequestText read_push_request(std::string_view file) {
  if (file.size() > kLargestPushRequest) refuse("the file is larger than 256 KiB, so it is none");
  auto const text = sys::trim(file);
  PushRequestText out;
  out.plain_xml = is_xml(text);
  auto const decoded = out.plain_xml ? std::optional<std::string>(text) : sys::unbase64(text);
  if (!decoded || !is_xml(sys::trim(*decoded))) refuse("the file is not base64 of an XML property list");
  auto const plist = sys::read_plist(*decoded, {.bytes = kLargestPushRequest, .depth = 4});
  if (plist.dict() == nullptr) refuse("the property list is no dictionary");
  out.csr = string_of(plist, kCsr);
  out.chain = string_of(plist, kChain);
  out.signature = string_of(plist, kSignature);
  return out;
}

std::vector<sys::Cert> push_request_chain(PushRequestText const& request) {
  if (request.chain.find("-----BEGIN ") == std::string::npos) {
    refuse("PushCertCertificateChain holds no certificate in PEM");
  }
  auto certs = sys::Cert::read_all(request.chain);
  if (certs.size() > kLongestChain) refuse("PushCertCertificateChain holds more than 10 certificates");
  return certs;
}

std::vector<sys::Cert> build_vendor_chain(sys::Cert const& vendor, std::vector<sys::Cert> const& pool,
                                          sys::Time now) {
  std::vector<sys::Cert> chain{vendor};
  while (chain.size() < kLongestChain && !chain.back().self_signed()) {
    auto issuer = issuer_in(pool, chain.back(), now);
    if (!issuer) break;
    chain.push_back(*std::move(issuer));
  }
  return chain;
}

bool is_complete_chain(std::vector<sys::Cert> const& chain) {
  return chain.size() > 1 && chain.back().self_signed();
}

bool looks_like_encrypted_request(std::string_view file) {
  if (is_enveloped(file)) return true;
  constexpr std::size_t kHead = 256;
  auto text = without_space(file.substr(0, kHead));
  text.resize(text.size() - text.size() % 2);
  auto const bytes = sys::unhex(text);
  return bytes && is_enveloped(*bytes);
}

std::string read_encrypted_request(std::string_view file) {
  constexpr std::size_t kHexDigits = 2;
  if (file.size() > kHexDigits * kLargestPushRequest)
    refuse("the file is larger than 512 KiB, so it is none");
  if (is_enveloped(file)) return std::string(file);  // unhexed by somebody already
  auto bytes = sys::unhex(without_space(file));
  if (!bytes || !is_enveloped(*bytes)) {
    refuse(
        "not an encrypted answer of mdmcert.download (hex text of a CMS message); save the attachment of its "
        "e-mail, mdm_signed_request....plist.b64.p7, as it is");
  }
  return *std::move(bytes);
}

bool looks_like_push_request(std::string_view file) {
  if (file.size() > kLargestPushRequest) return false;
  auto const text = sys::trim(file);
  if (is_xml(text)) return text.find(kCsr) != std::string_view::npos;
  auto const decoded = sys::unbase64(text);
  return decoded && is_xml(sys::trim(*decoded)) && decoded->find(kCsr) != std::string::npos;
}

}  // namespace proto
