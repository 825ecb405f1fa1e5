// `pomona certs`: every certificate, worst first.
#include <cstdio>

#include "nouns.hpp"
#include "service/cert_report.hpp"
#include "service/cert_words.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

using service::CertReport;
using service::Expiry;

char const* urgency(CertReport const& report) {
  if (!report.counts) return "none";
  switch (report.expiry) {
    case Expiry::expired:
      return "expired";
    case Expiry::urgent:
      return "urgent";
    case Expiry::attention:
      return "attention";
    case Expiry::not_yet:
      return "not-yet";
    case Expiry::good:
      break;
  }
  return "good";
}

std::vector<Field> identity_fields(CertReport const& report) {
  bool const one = report.row.has_value();
  auto const text = [&](auto get) { return one ? Value(get(*report.row)) : Value(); };
  std::vector<Field> fields{
      {"kind", "", report.kind},
      {"name", "", one ? Value(report.row->name) : Value()},
      {"topic", "", one ? Value(report.row->topic) : Value()},
      {"status", "Status", report.status},
      {"count", "", report.count},
      {"subject", one ? "Subject" : "", text([](auto const& row) { return row.subject; })},
      {"issuer", one ? "Issuer" : "", text([](auto const& row) { return row.issuer; })},
      {"serial", one ? "Serial Number" : "", text([](auto const& row) { return sys::hex(row.serial); })},
      {"sha256", one ? "SHA-256" : "",
       text([](auto const& row) { return sys::hex(row.sha256.value_or("")); })},
      {"file", report.file ? "File" : "", report.file},
      {"device", report.device ? "Device" : "", report.device}};
  return fields;
}

CertificateBlock block_of(CertReport const& report) {
  CertificateBlock block{report.title, identity_fields(report), report.not_before, report.not_after};
  if (report.status == "revoked") block.invalid = "REVOKED";
  if (report.status == "retired" && !report.counts) block.invalid = "RETIRED";
  bool const counts_devices = report.kind != "ra" && report.counts;
  block.notes = {{"urgency", "", urgency(report)},
                 {"used_by", "", report.used_by},
                 {"", counts_devices ? "Used By" : "", service::devices_text(report.used_by)},
                 {"consequence", report.counts && !report.consequence.empty() ? "When It Expires" : "",
                  report.consequence},
                 {"next_step", report.next_step.empty() ? "" : "Next Step",
                  report.next_step.empty() ? Value() : Value(report.next_step)},
                 {"", report.counts && report.next_step.empty() ? "Next Step" : "",
                  "nothing before " + sys::iso_time(report.act_after).substr(0, 10)}};
  return block;
}

std::string summary(std::vector<CertReport> const& reports) {
  std::size_t wanting = 0;
  for (auto const& report : reports) wanting += report.next_step.empty() ? 0U : 1U;
  if (wanting == 0) return "\nNothing to do.";
  return '\n' + std::to_string(wanting) + (wanting == 1 ? " certificate needs" : " certificates need") +
         " attention: see Next Step.";
}

int run_certs(Context& context) {
  auto const inventory = service::take_inventory(context.db(), context.config(),
                                                 {context.has("all"), context.has("live")}, context.now());
  auto const& reports = inventory.reports;
  std::vector<CertificateBlock> blocks;
  blocks.reserve(reports.size());
  for (auto const& report : reports) blocks.push_back(block_of(report));
  context.out().certificates(blocks,
                             "No certificates yet. `pomona ca init` makes the device CA, `pomona "
                             "push-cert import` takes the one for APNs.",
                             context.now());
  if (!reports.empty()) context.out().line(summary(reports));
  for (auto const& problem : inventory.problems)
    std::fprintf(stderr, "pomona certs: could not be looked at: %s\n", cell_text(problem.text).c_str());
  return inventory.problems.empty() ? 0 : 1;
}

}  // namespace

Noun certs_noun() {
  return {
      "certs",
      "every certificate: who uses it, when it expires, what to do next",
      {{"",
        "list every certificate, the most pressing first",
        "",
        0,
        0,
        {{"all", "also superseded ones, and each device identity by itself", "", ""},
         {"live", "ask server-url which certificate it shows, and compare", "", ""}},
        run_certs,
        false,
        "Attention is asked for when less than a sixth of a certificate's life is left, with urgency below a "
        "twelfth;\nshort lives leave more time. Exit code 1: something could not be looked at."}}};
}

}  // namespace admin
