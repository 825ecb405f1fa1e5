#include "service/cert_words.hpp"

#include <array>

namespace service {

namespace {

constexpr std::array kKinds{
    CertWords{
        "push", "Push certificate", "%n cannot be woken: no command gets there",
        "renew it at identity.apple.com (Renew, not Create, same Apple ID), then `pomona push-cert import`"},
    CertWords{"vendor", "MDM vendor certificate",
              "no push certificate can be requested or renewed with it; those that exist work on",
              "make a request with `pomona push-cert vendor-request`, get the certificate at "
              "developer.apple.com (MDM CSR), then `pomona push-cert import`"},
    CertWords{"mdmcert", "mdmcert.download encryption certificate",
              "nothing, unless an answer of mdmcert.download is still on its way",
              "nothing; the next `pomona push-cert mdmcert-request` makes a new one"},
    CertWords{"ca", "Device CA", "no identity can be issued or renewed, and those of %n stop working",
              "make a new CA with `pomona ca init` and enrol the devices again, while they can still be "
              "reached"},
    CertWords{"ra", "SCEP certificate (RA)", "no device can be enrolled or get a new identity",
              "see `pomona ca show`; `pomona ca init` makes what is missing"},
    CertWords{"https", "HTTPS certificate",
              "%n can no longer connect, and with them every enrolment and every browser",
              "renew it where it comes from (`certbot renew`, or your CA), put it into the file that nginx "
              "reads, and `nginx -s reload`"},
    CertWords{"https-chain", "HTTPS intermediate",
              "devices no longer find the way from the HTTPS certificate to its root",
              "renew the HTTPS certificate: a new intermediate comes with it"},
    CertWords{"https-served", "HTTPS certificate served", "%n can no longer connect",
              "nginx shows another certificate than the file has, perhaps an older one: `nginx -s reload`"},
    CertWords{
        "https-ca", "HTTPS CA", "%n will lose trust in the server, and all contact with it",
        "make a new one, put it into https-ca-file beside the old one, and give it to the devices before "
        "the server's certificate is replaced"},
    CertWords{"signing", "Profile signing certificate",
              "profiles signed with it show as Unverified; what is installed stays",
              "replace it, keeping its subject, so that profiles stay replaceable"},
    CertWords{"dep-token", "DEP token", "no device is synchronised or assigned; enrolled ones notice nothing",
              "get a new token in Apple Business Manager (Preferences, your MDM server, Download Token)"},
    CertWords{"dep-anchor", "DEP anchor",
              "devices that enrol automatically do not trust the server during set-up",
              "define the DEP profile again with the certificate that HTTPS has now"},
    CertWords{"supervision", "Supervision identity", "hosts that hold it can no longer pair with %n",
              "make a new one; devices learn it when they enrol again"},
    CertWords{"escrow", "Escrow certificate",
              "new FileVault keys are no longer escrowed; what is escrowed can still be read",
              "make a new one and send its profile; keep the old key"},
    CertWords{"trust", "Trusted certificate", "devices no longer trust what it vouches for",
              "replace it in the profiles that carry it"},
    CertWords{"identities", "Device identities",
              "a device whose identity has run out can fetch its renewal over TLS for identity-grace, and "
              "nothing else",
              "renew each with `pomona enrollment renew ID`"},
    CertWords{"identity", "Device identity",
              "the device can fetch its renewal over TLS for identity-grace, and nothing else",
              "renew it with `pomona enrollment renew ID`"}};

}  // namespace

CertWords cert_words(std::string_view kind) {
  for (auto const& words : kKinds)
    if (words.kind == kind) return words;
  return {kind, "Certificate", "", ""};
}

std::string devices_text(std::int64_t count) {
  return std::to_string(count) + (count == 1 ? " device" : " devices");
}

std::string fill_devices(std::string_view text, std::int64_t count) {
  std::string out(text);
  if (auto const at = out.find("%n"); at != std::string::npos) out.replace(at, 2, devices_text(count));
  return out;
}

}  // namespace service
