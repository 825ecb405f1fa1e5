#include "service/cert_report.hpp"

#include <algorithm>
#include <array>

#include "store/cert_usage.hpp"
#include "store/push_requests.hpp"
#include "sys/file.hpp"
#include "sys/x509.hpp"

namespace service {

namespace {

using store::CertificateRow;
using store::CertStatus;

constexpr std::int64_t kMostIdentities = 100'000;

// What is said about a kind of certificate. %n: "3 devices".
struct KindWords {
  std::string_view kind;
  std::string_view title;
  std::string_view consequence;
  std::string_view next_step;
};

constexpr std::array kKinds{
    KindWords{
        "push", "Push certificate", "%n cannot be woken: no command gets there",
        "renew it at identity.apple.com (Renew, not Create, same Apple ID), then `pomona push-cert import`"},
    KindWords{
        "ca", "Device CA", "no identity can be issued or renewed, and those of %n stop working",
        "make a new CA with `pomona ca init` and enrol the devices again, while they can still be reached"},
    KindWords{"ra", "SCEP certificate (RA)", "no device can be enrolled or get a new identity",
              "see `pomona ca show`; `pomona ca init` makes what is missing"},
    KindWords{
        "https-ca", "HTTPS CA", "%n will lose trust in the server, and all contact with it",
        "make a new one, put it into https-ca-file beside the old one, and give it to the devices before "
        "the server's certificate is replaced"},
    KindWords{"identities", "Device identities",
              "a device whose identity has run out can fetch its renewal over TLS for identity-grace, and "
              "nothing else",
              "renew each with `pomona enrollment renew ID`"},
    KindWords{"identity", "Device identity",
              "the device can fetch its renewal over TLS for identity-grace, and nothing else",
              "renew it with `pomona enrollment renew ID`"}};

KindWords words_of(std::string const& kind) {
  for (auto const& words : kKinds)
    if (words.kind == kind) return words;
  return {kind, "Certificate", "", ""};
}

std::string devices_text(std::int64_t count) {
  return std::to_string(count) + (count == 1 ? " device" : " devices");
}

std::string filled(std::string_view text, std::int64_t used_by) {
  std::string out(text);
  if (auto const at = out.find("%n"); at != std::string::npos) out.replace(at, 2, devices_text(used_by));
  return out;
}

// Judges what the dates and the counts have told.
void judge(CertReport& report, sys::Time now) {
  auto const words = words_of(report.kind);
  report.expiry = judge_expiry(report.not_before, report.not_after, now);
  report.consequence = filled(words.consequence, report.used_by);
  report.act_after = attention_from(report.not_before, report.not_after);
  if (report.counts && report.expiry != Expiry::good) report.next_step = words.next_step;
}

// The Apple ID is what must not be forgotten at renewal: another one cannot renew the topic.
void add_apple_ids(std::vector<CertReport>& reports, sys::Db& db) {
  auto const notes = store::push_topic_notes(db);
  for (auto& report : reports) {
    if (report.kind != "push" || report.next_step.empty() || !report.row || !report.row->topic) continue;
    auto const note = notes.find(*report.row->topic);
    if (note == notes.end() || !note->second.apple_id) continue;
    report.next_step += "; the Apple ID is " + *note->second.apple_id;
  }
}

struct Usage {
  std::map<std::string, std::int64_t> by_topic;
  std::map<std::int64_t, std::int64_t> by_issuer;
  std::int64_t devices = 0;
};

template <typename Map, typename Key>
std::int64_t at_or_zero(Map const& map, Key const& key) {
  auto const found = map.find(key);
  return found == map.end() ? 0 : found->second;
}

std::int64_t users_of(CertificateRow const& row, Usage const& usage) {
  if (row.kind == "push") return row.topic ? at_or_zero(usage.by_topic, *row.topic) : 0;
  if (row.kind == "ca") return at_or_zero(usage.by_issuer, row.id);
  return 0;
}

CertReport stored_report(CertificateRow const& row, Usage const& usage) {
  CertReport report{row.kind, std::string(words_of(row.kind).title), row};
  std::string const name = row.topic ? *row.topic : row.name.value_or("");
  if (!name.empty()) report.title += ' ' + name;
  report.status = store::cert_status_name(row.status);
  report.not_before = row.not_before;
  report.not_after = row.not_after;
  bool const current = row.status == CertStatus::active || row.status == CertStatus::next;
  // A CA is believed as long as devices show its identities; a push certificate only while it is the active
  // one.
  if (current || row.kind == "ca") report.used_by = users_of(row, usage);
  report.counts = current || report.used_by > 0;
  return report;
}

void add_stored(std::vector<CertReport>& reports, sys::Db& db, Usage const& usage, bool all) {
  for (auto const& row : store::list_certificates(db, store::CertView::published, {})) {
    auto report = stored_report(row, usage);
    if (all || report.counts) reports.push_back(std::move(report));
  }
}

void add_https(std::vector<CertReport>& reports, Config const& config, Usage const& usage) {
  if (config.https_ca_file.empty()) return;
  for (auto const& cert : sys::Cert::read_all(sys::read_file(config.https_ca_file))) {
    CertReport report{"https-ca", "HTTPS CA " + cert.subject_value("CN").value_or(cert.subject()),
                      store::certificate_row("https-ca", CertStatus::active, cert), config.https_ca_file};
    report.status = "active";
    report.not_before = cert.not_before();
    report.not_after = cert.not_after();
    report.used_by = usage.devices;
    reports.push_back(std::move(report));
  }
}

std::string issuer_name(sys::Db& db, std::int64_t id) {
  auto const row = store::find_certificate(db, store::CertView::published, id);
  return row ? row->name.value_or(row->subject) : "(unknown)";
}

void add_identity_summaries(std::vector<CertReport>& reports, sys::Db& db, Usage const& usage) {
  for (auto const& summary : store::summarise_identities(db)) {
    CertReport report{"identities", "Device identities of CA " + issuer_name(db, summary.issuer_id)};
    report.count = summary.in_force;
    report.status = std::to_string(summary.in_force) + " in force";
    if (summary.unseen > 0) report.status += ", " + std::to_string(summary.unseen) + " of them not used yet";
    report.not_before = summary.not_before;
    report.not_after = summary.not_after;
    report.used_by = at_or_zero(usage.by_issuer, summary.issuer_id);
    reports.push_back(std::move(report));
  }
}

void add_identities(std::vector<CertReport>& reports, sys::Db& db) {
  for (auto& identity : store::identities_in_force(db, kMostIdentities)) {
    CertReport report{"identity", "Device identity " + identity.external_id.value_or(identity.row.subject)};
    report.status = store::cert_status_name(identity.row.status);
    report.not_before = identity.row.not_before;
    report.not_after = identity.row.not_after;
    report.used_by = identity.external_id ? 1 : 0;
    report.device = std::move(identity.external_id);
    report.row = std::move(identity.row);
    reports.push_back(std::move(report));
  }
}

int rank(CertReport const& report) {
  if (!report.counts) return 5;
  switch (report.expiry) {
    case Expiry::expired:
      return 0;
    case Expiry::not_yet:
      return 1;
    case Expiry::urgent:
      return 2;
    case Expiry::attention:
      return 3;
    case Expiry::good:
      break;
  }
  return 4;
}

}  // namespace

std::vector<CertReport> report_certificates(sys::Db& db, Config const& config, bool all, sys::Time now) {
  Usage const usage{store::devices_by_topic(db), store::devices_by_issuer(db), store::enrolled_devices(db)};
  std::vector<CertReport> reports;
  add_stored(reports, db, usage, all);
  add_https(reports, config, usage);
  if (all) {
    add_identities(reports, db);
  } else {
    add_identity_summaries(reports, db, usage);
  }
  for (auto& report : reports) judge(report, now);
  add_apple_ids(reports, db);
  std::stable_sort(reports.begin(), reports.end(), [](CertReport const& a, CertReport const& b) {
    return std::pair(rank(a), a.not_after) < std::pair(rank(b), b.not_after);
  });
  return reports;
}

}  // namespace service
