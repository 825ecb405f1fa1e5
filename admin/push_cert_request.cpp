// `pomona push-cert`: requests for push and vendor certificates, signed here or by mdmcert.download.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "push_cert.hpp"
#include "service/push_mdmcert.hpp"
#include "service/push_staging.hpp"
#include "service/push_vendor.hpp"
#include "store/events.hpp"
#include "store/push_requests.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

constexpr unsigned kPrivate = 0600;
constexpr char const* kUpload =
    "upload it at identity.apple.com/pushcert. For a topic that there is already: Renew, not Create, with "
    "the same "
    "Apple ID. Then `pomona push-cert import` what you download";

// To --out, else to stdout; what to do next is said where it does not mix with that.
void give(Context& context, Object facts, std::string const& content, std::string const& next) {
  if (context.has("out")) {
    auto const path = context.option("out");
    sys::write_file_atomically(path, content, kPrivate);
    facts.emplace_back("file", path);
    context.out().value(facts);
    context.out().line("Written to " + path + ". Next: " + next + '.');
    return;
  }
  facts.emplace_back("content", content);
  context.out().value(facts);
  if (context.out().json()) return;
  std::fputs(content.c_str(), stdout);
  if (!content.ends_with('\n')) std::fputc('\n', stdout);
  std::cerr << "Next: " << next << ".\n";
}

std::vector<sys::OptionSpec> subject_options(std::string const& whose) {
  return {{"email", "e-mail address in the request, " + whose, "ADDRESS", ""},
          {"cn", "common name; \"ORG push\" where not given", "NAME", ""},
          {"org", "organisation; that of the configuration where not given", "NAME", ""},
          {"country", "two letters; left out where not given", "CC", ""}};
}

sys::OptionSpec out_option() { return {"out", "write to this file instead of stdout", "FILE", ""}; }

sys::NameParts subject(Context& context) {
  auto const email = context.option("email");
  if (email.find('@') == std::string::npos) {
    context.usage("--email ADDRESS is needed: Apple writes to it before the certificate expires");
  }
  auto const org = context.has("org") ? context.option("org") : context.config().organization;
  auto const country = context.option("country");
  bool const two_letters = country.size() == 2 && std::all_of(country.begin(), country.end(),
                                                              [](char c) { return c >= 'A' && c <= 'Z'; });
  sys::NameParts parts;
  if (!country.empty() && !two_letters)
    context.usage("--country " + country + ": two capital letters are needed");
  if (!country.empty()) parts.emplace_back("C", country);
  parts.emplace_back("O", org);
  parts.emplace_back("CN", context.has("cn") ? context.option("cn") : org + " push");
  parts.emplace_back("emailAddress", email);
  return parts;
}

int stage(Context& context, service::StagedKind kind, std::string const& next) {
  auto const csr = service::stage_request(context.db(), context.key("push"), kind, subject(context),
                                          context.who(), context.now());
  give(context, {{"subject", csr.subject()}}, csr.pem(), next);
  return 0;
}

int run_vendor_request(Context& context) {
  return stage(
      context, service::StagedKind::vendor,
      "upload it at developer.apple.com, Certificates, \"MDM CSR\"; then `pomona push-cert import mdm.cer`. "
      "The key stays here");
}

int run_request(Context& context) {
  return stage(
      context, service::StagedKind::push,
      "have it signed: `pomona push-cert sign FILE` with a vendor certificate of your own, or by your "
      "vendor. The key stays here");
}

// --chain, else apple-chain-file.
std::vector<sys::Cert> chain_pool(Context& context) {
  auto const path = context.has("chain") ? context.option("chain") : context.config().apple_chain_file;
  if (path.empty()) return {};
  return sys::Cert::read_all(sys::read_file(path));
}

int run_sign(Context& context) {
  auto const& name = context.arguments().front();
  auto const bytes = sys::read_file(name, proto::kLargestPushRequest);
  if (proto::looks_like_push_request(bytes)) {
    throw sys::Error(sys::Fault::bad_request, name + " is signed already; " + kUpload);
  }
  auto const csr = sys::Csr::read(bytes);
  service::SigningWish wish;
  wish.customer = context.option("customer");
  if (context.has("sha1")) wish.digest = sys::SignatureDigest::sha1;
  wish.pool = chain_pool(context);
  auto const file =
      service::sign_push_request(context.db(), context.key("push"), csr, wish, context.who(), context.now());
  give(context, {{"subject", csr.subject()}, {"customer", wish.customer}}, file, kUpload);
  return 0;
}

Value findings_value(std::vector<proto::PushRequestFinding> const& findings) {
  List list;
  for (auto const& finding : findings) {
    list.emplace_back(Object{{"good", finding.good}, {"text", finding.text}});
  }
  return list;
}

void print_findings(Context& context, std::vector<proto::PushRequestFinding> const& findings) {
  for (auto const& finding : findings) {
    context.out().line((finding.good ? "good   " : "WRONG  ") + sys::escape_controls(finding.text));
  }
}

int run_verify(Context& context) {
  auto const bytes = sys::read_file(context.arguments().front());
  auto const roots = chain_pool(context);
  auto const findings = service::verify_push_request(bytes, roots, context.now());
  bool const good = service::wrong_findings(findings).empty();
  context.out().value(Object{{"good", good}, {"findings", findings_value(findings)}});
  print_findings(context, findings);
  if (roots.empty()) {
    context.out().line(
        "not looked at: whether the root is Apple's; name that with --chain or apple-chain-file");
  }
  context.out().line(good ? "Nothing is wrong with it." : "Apple's portal would refuse it.");
  return good ? 0 : 1;
}

int run_signed(Context& context) {
  constexpr std::int64_t kMost = 10'000;
  Table table{{{"at", "SIGNED"}, {"who", "BY"}, {"detail", "FOR"}}, {}, "No request was signed here."};
  for (auto const& event : store::list_events(context.db(), "push-cert.signed", kMost)) {
    table.rows.push_back({event.at, event.who, event.detail});
  }
  context.out().table(table);
  return 0;
}

int run_requests(Context& context) {
  Table table{{{"at", "MADE"},
               {"who", "BY"},
               {"kind", "FOR"},
               {"subject", "SUBJECT"},
               {"public_key_sha256", ""},
               {"csr", ""}},
              {},
              "No key waits for its certificate."};
  for (auto const& row : store::list_push_requests(context.db())) {
    table.rows.push_back({row.created_at, row.created_by, row.kind, row.subject, sys::hex(row.spki_sha256),
                          sys::Csr::from_der(row.csr).pem()});
  }
  context.out().table(table);
  return 0;
}

int run_mdmcert_request(Context& context) {
  auto const csr =
      service::request_from_mdmcert(context.db(), context.key("push"), context.config(), subject(context),
                                    context.option("email"), context.who(), context.now());
  context.out().value(Object{{"subject", csr.subject()}, {"email", context.option("email")}});
  context.out().line(
      "mdmcert.download took the request and sends the signed one, encrypted, to " + context.option("email") +
      ".\nNext: save the attachment (mdm_signed_request....plist.b64.p7) and `pomona push-cert "
      "mdmcert-decrypt FILE --out PushCertificateRequest.plist`. The keys stay here.");
  return 0;
}

int run_mdmcert_decrypt(Context& context) {
  auto const bytes = sys::read_file(context.arguments().front());
  auto const answer = service::decrypt_mdmcert(context.db(), context.key("push"), bytes, context.now());
  auto const wrong = service::wrong_findings(answer.findings);
  if (!wrong.empty())
    std::cerr << "Warning: Apple's portal may refuse it: " << sys::escape_controls(wrong) << '\n';
  if (!answer.key_is_here) {
    std::cerr << "Warning: the key of this request is not in staging here; what Apple issues for it needs "
                 "its key.\n";
  }
  give(context,
       {{"vendor", answer.vendor.subject()},
        {"vendor_not_after", answer.vendor.not_after()},
        {"key_is_here", answer.key_is_here},
        {"findings", findings_value(answer.findings)}},
       answer.request,
       "it bears the signature of " + sys::escape_controls(answer.vendor.subject()) + ", good until " +
           sys::certbot_time(answer.vendor.not_after()) + "; " + kUpload);
  return 0;
}

Verb with(Verb verb, std::vector<sys::OptionSpec> options) {
  verb.options = std::move(options);
  verb.options.push_back(out_option());
  return verb;
}

}  // namespace

std::vector<Verb> push_cert_request_verbs() {
  sys::OptionSpec const chain{
      "chain", "PEM of Apple's intermediates and root; apple-chain-file where not given", "FILE", ""};
  Verb verify{"verify",  "check a finished request offline, as Apple's portal would", "FILE", 1, 1, {chain},
              run_verify};
  Verb mdmcert{"mdmcert-request",  "have a request signed by mdmcert.download", "", 0, 0, {},
               run_mdmcert_request};
  mdmcert.options = subject_options("registered at mdmcert.download");
  Verb const sign{
      "sign",  "sign a certificate request with the vendor certificate, for Apple's portal", "CSR", 1, 1, {},
      run_sign};
  return {with({"vendor-request",
                "make a key and the request for an MDM vendor certificate",
                "",
                0,
                0,
                {},
                run_vendor_request},
               subject_options("the vendor's")),
          with({"request", "make a key and the request for a push certificate", "", 0, 0, {}, run_request},
               subject_options("where Apple's reminders go")),
          with(sign, {{"customer", "for whom, for the record (see signed)", "NAME", ""},
                      {"sha1", "sign with SHA-1, for old vendor certificates", "", ""},
                      chain}),
          verify,
          {"requests", "list the keys that wait for their certificate", "", 0, 0, {}, run_requests},
          {"signed", "list what was signed here, for whom and when", "", 0, 0, {}, run_signed},
          mdmcert,
          with({"mdmcert-decrypt",
                "open mdmcert.download's answer: what is uploaded at Apple's portal",
                "FILE",
                1,
                1,
                {},
                run_mdmcert_decrypt},
               {})};
}

}  // namespace admin
