// What Apple's portal would say to a push certificate request, offline.
#include <algorithm>

#include "proto/push_request.hpp"
#include "sys/csr.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace proto {

namespace {

using sys::SignatureDigest;

struct Findings {
  std::vector<PushRequestFinding> list;
  void good(std::string text) { list.push_back({true, std::move(text)}); }
  void wrong(std::string text) { list.push_back({false, std::move(text)}); }
  void say(bool is_good, std::string const& text_good, std::string const& text_wrong) {
    list.push_back({is_good, is_good ? text_good : text_wrong});
  }
};

// Lines of PEM bodies: 64 characters, the last of a block shorter.
bool has_usual_lines(std::string_view pem) {
  constexpr std::size_t kLine = 64;
  auto const lines = sys::split(pem, '\n');
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    auto const line = lines[i];
    bool const is_last = lines[i + 1].starts_with("-----END ");
    if (line.empty() || line.starts_with("-----")) continue;
    if (line.size() > kLine || (line.size() < kLine && !is_last)) return false;
  }
  return true;
}

std::optional<sys::Csr> check_csr(PushRequestText const& request, Findings& out) {
  auto const der = sys::unbase64(request.csr);
  if (!der) {
    out.wrong("PushCertRequestCSR is not base64; it is base64 of the request in DER, in one line");
    return std::nullopt;
  }
  if (request.csr.find_first_of(" \t\r\n") != std::string::npos) {
    out.wrong("PushCertRequestCSR has several lines; the portal wants one");
  }
  if (der->find("-----BEGIN ") != std::string::npos) {
    out.wrong("PushCertRequestCSR holds the request in PEM; DER is wanted");
    return std::nullopt;
  }
  try {
    auto csr = sys::Csr::from_der(*der);
    auto const weak = csr.weakness();
    out.say(
        csr.verify(), "certificate request of " + csr.subject() + ", signed with its own key",
        "the certificate request of " + csr.subject() + " is not signed with its own key: it was altered");
    if (weak) out.wrong("the certificate request's key or signature: " + *weak + "; make one with RSA-2048");
    return csr;
  } catch (sys::Error const& error) {
    out.wrong(std::string("PushCertRequestCSR: ") + error.what());
    return std::nullopt;
  }
}

void check_validity(std::vector<sys::Cert> const& chain, sys::Time now, Findings& out) {
  for (std::size_t i = 0; i < chain.size(); ++i) {
    auto const& cert = chain[i];
    std::string const who = (i == 0 ? "vendor certificate " : "certificate ") + cert.subject();
    if (now < cert.not_before()) {
      out.wrong(who + " is valid only from " + sys::certbot_time(cert.not_before()) + ": check the clock");
    } else if (cert.not_after() < now) {
      out.wrong(who + " expired on " + sys::certbot_time(cert.not_after()) +
                (i == 0 ? ": whoever signed this request must renew it and sign again"
                        : ": sign again with the current one (Apple's WWDR intermediates have generations)"));
    } else {
      out.good(who + " is good until " + sys::certbot_time(cert.not_after()));
    }
  }
}

void check_links(std::vector<sys::Cert> const& chain, Findings& out) {
  if (chain.size() < 3) {
    out.wrong(
        "the chain has " + std::to_string(chain.size()) +
        " certificates; it needs three: vendor certificate, the WWDR intermediate that issued it, Apple "
        "Root CA");
  }
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    if (chain[i].signed_by(chain[i + 1])) continue;
    out.wrong(chain[i].subject() + " was not issued by " + chain[i + 1].subject() +
              ", which stands behind it; its issuer is " + chain[i].issuer());
  }
  auto const& root = chain.back();
  out.say(root.self_signed(), "the chain ends in the root " + root.subject(),
          "the chain does not end in a root: " + root.subject() + " was issued by " + root.issuer());
}

void check_signature(PushRequestText const& request, sys::Cert const& vendor, Findings& out) {
  auto const signature = sys::unbase64(request.signature);
  auto const der = sys::unbase64(request.csr);
  if (!signature) return out.wrong("PushCertSignature is not base64");
  if (!der) return;
  auto const key = vendor.public_key();
  if (sys::verify_rsa(key, SignatureDigest::sha256, *der, *signature)) {
    return out.good("the vendor's signature is good (SHA-256)");
  }
  if (sys::verify_rsa(key, SignatureDigest::sha1, *der, *signature)) {
    return out.good("the vendor's signature is good (SHA-1; the portal may want SHA-256)");
  }
  bool const over_text = sys::verify_rsa(key, SignatureDigest::sha256, request.csr, *signature) ||
                         sys::verify_rsa(key, SignatureDigest::sha1, request.csr, *signature);
  out.wrong(over_text
                ? "the signature is over the base64 text of the request; it must be over its DER bytes"
                : "the signature is not the vendor certificate's over this request: another key, another "
                  "request, or altered on the way");
}

}  // namespace

std::vector<PushRequestFinding> check_push_request(std::string_view file, sys::Time now) {
  Findings out;
  try {
    auto const request = read_push_request(file);
    out.say(!request.plain_xml, "the file is base64 of a property list with the three strings",
            "the file is the property list itself; the portal wants its base64 (`base64 -w0 FILE`)");
    (void)check_csr(request, out);
    auto const chain = push_request_chain(request);
    out.say(has_usual_lines(request.chain), "the chain's PEM has lines of 64 characters",
            "the chain's PEM has lines that are not 64 characters long; write it with `openssl x509`");
    check_links(chain, out);
    check_validity(chain, now, out);
    check_signature(request, chain.front(), out);
  } catch (sys::Error const& error) {
    out.wrong(error.what());
  }
  return std::move(out.list);
}

}  // namespace proto
