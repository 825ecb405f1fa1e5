// `pomona ca`: the CA that issues device identities.
#include "service/ca.hpp"

#include <cstdio>

#include "nouns.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

using store::CertificateRow;
using store::CertStatus;
using store::CertView;

std::string fingerprint(CertificateRow const& row) { return sys::hex(row.sha256.value_or("")); }

std::string title(CertificateRow const& row) {
  return (row.kind == "ca" ? "Device CA " : "SCEP RA of ") + row.name.value_or("(no name)");
}

// Of its public key, and whether it serves SCEP by itself.
struct KeyFacts {
  std::string kind;
  bool one_certificate = false;
};

KeyFacts key_facts(CertificateRow const& row) {
  if (!row.der) return {"unknown"};
  auto const cert = sys::Cert::from_der(*row.der);
  return {cert.public_key().kind_name(), row.kind == "ca" && service::is_one_certificate(cert)};
}

std::string counts_text(store::IssuedCounts const& counts) {
  return std::to_string(counts.issued) + " in force, " + std::to_string(counts.retiring) + " retiring, " +
         std::to_string(counts.retired) + " retired, " + std::to_string(counts.revoked) + " revoked" +
         (counts.pending > 0 ? ", " + std::to_string(counts.pending) + " never finished" : "");
}

CertificateBlock block_of(Context& context, CertificateRow const& row) {
  CertificateBlock block{title(row), {}, row.not_before, row.not_after};
  auto const key = key_facts(row);
  block.fields = {{"name", "", row.name},
                  {"kind", "", row.kind},
                  {"status", "Status", store::cert_status_name(row.status)},
                  {"key", "Key", key.kind},
                  {"one_certificate", "", key.one_certificate},
                  {"", key.one_certificate ? "SCEP" : "", "signs and decrypts by itself, without an RA"},
                  {"subject", "Subject", row.subject},
                  {"issuer", "Issuer", row.issuer},
                  {"serial", "Serial Number", sys::hex(row.serial)},
                  {"sha256", "SHA-256", fingerprint(row)}};
  if (row.status == CertStatus::revoked) block.invalid = "REVOKED";
  if (row.kind == "ca") {
    auto const counts = store::issued_counts(context.db(), row.id);
    block.notes = {
        {"identities", "Identities", counts_text(counts)},
        {"issued", "", counts.issued},
        {"retiring", "", counts.retiring},
        {"retired", "", counts.retired},
        {"revoked", "", counts.revoked},
        {"pending", "", counts.pending},
        {"consequence", "Consequence", "when it expires, every identity that it issued stops working"}};
  }
  return block;
}

int print_pem(std::string const& pem) {
  std::fputs(pem.c_str(), stdout);
  return 0;
}

int run_init(Context& context) {
  service::NewCa wanted;
  if (context.has("name")) wanted.name = context.option("name");
  wanted.organization = context.has("org") ? context.option("org") : context.config().organization;
  wanted.days = static_cast<int>(context.number("days", 1, 36500).value_or(wanted.days));
  if (context.has("key")) {
    auto const kind = service::find_ca_key_kind(context.option("key"));
    if (!kind)
      context.usage("--key " + context.option("key") +
                    ": one of rsa-2048, rsa-3072, rsa-4096, p-256 and p-384 is needed");
    wanted.key = *kind;
  }
  wanted.one_certificate = context.has("one-certificate");
  auto const result = service::init_ca(context.db(), context.key("ca"), wanted, context.who(), context.now());
  auto const& ca = result.ca;
  context.out().value(Object{{"created", result.created},
                             {"name", ca.name},
                             {"subject", ca.subject},
                             {"sha256", fingerprint(ca)},
                             {"not_after", ca.not_after}});
  context.out().line(result.created
                         ? "Made the device CA " + ca.name.value_or("") + ": " + ca.subject + "\nSHA-256 " +
                               fingerprint(ca) + ", good until " + sys::certbot_time(ca.not_after) +
                               "\nNext: `pomona ca list --pem` gives nginx its ssl_client_certificate."
                         : "There is an active device CA already: " + ca.name.value_or("") + ", " +
                               ca.subject + ". Nothing was changed.");
  return 0;
}

int run_list(Context& context) {
  if (context.has("pem")) return print_pem(service::trusted_ca_pem(context.db(), CertView::all));
  Table table{{{"name", "NAME"},
               {"kind", "KIND"},
               {"status", "STATUS"},
               {"key", "KEY"},
               {"subject", "SUBJECT"},
               {"not_before", ""},
               {"not_after", "EXPIRY (UTC)"},
               {"serial", ""},
               {"sha256", "SHA-256"}},
              {},
              "No device CA yet. `pomona ca init` makes one."};
  for (auto const& row : service::list_cas(context.db(), CertView::all, std::nullopt)) {
    table.rows.push_back({row.name, row.kind, store::cert_status_name(row.status), key_facts(row).kind,
                          row.subject, row.not_before, row.not_after, sys::hex(row.serial),
                          fingerprint(row)});
  }
  context.out().table(table);
  return 0;
}

int run_show(Context& context) {
  std::optional<std::string> name;
  if (!context.arguments().empty()) name = context.arguments().front();
  auto const rows = service::list_cas(context.db(), CertView::all, name);
  if (context.has("pem")) {
    std::string pem;
    for (auto const& row : rows)
      if (row.kind == "ca" && row.der) pem += sys::Cert::from_der(*row.der).pem();
    return print_pem(pem);
  }
  std::vector<CertificateBlock> blocks;
  blocks.reserve(rows.size());
  for (auto const& row : rows) blocks.push_back(block_of(context, row));
  context.out().certificates(blocks, "No device CA yet. `pomona ca init` makes one.", context.now());
  return 0;
}

Verb init_verb() {
  return {
      "init",
      "make the device CA and its RA certificate",
      "",
      0,
      0,
      {{"name", "what it is called here and in URLs (device-ca)", "NAME", ""},
       {"org", "organization in the certificates (as configured)", "NAME", ""},
       {"days", "lifetime of the CA (3650)", "N", ""},
       {"key", "its key: rsa-2048, rsa-3072, rsa-4096, p-256 or p-384 (rsa-2048)", "KIND", ""},
       {"one-certificate", "let it serve SCEP by itself, without an RA; for clients that know no RA", "",
        ""}},
      run_init,
      false,
      "Makes an issuing CA and an RA certificate with which SCEP signs and decrypts; both keys are sealed in "
      "the\ndatabase under domain ca. Where there is an active CA nothing is changed.\nThe RA's key is "
      "always "
      "rsa-2048: SCEP clients encrypt to it. --one-certificate needs an RSA key for the same reason."};
}

}  // namespace

Noun ca_noun() {
  return {"ca",
          "the CA that issues device identities",
          {init_verb(),
           {"list",
            "list CA and RA certificates",
            "",
            0,
            0,
            {{"pem", "all trusted CA certificates as one bundle, for nginx", "", ""}},
            run_list},
           {"show",
            "show a CA, its RA and what it issued",
            "[NAME]",
            0,
            1,
            {{"pem", "the CA certificate as PEM", "", ""}},
            run_show}}};
}

}  // namespace admin
