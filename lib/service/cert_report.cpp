#include "service/cert_report.hpp"

#include <algorithm>

#include "service/cert_words.hpp"
#include "service/https_report.hpp"
#include "store/cert_usage.hpp"
#include "store/push_requests.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::CertificateRow;
using store::CertStatus;

constexpr std::int64_t kMostIdentities = 100'000;

// Judges what the dates and the counts have told.
void judge(CertReport& report, sys::Time now) {
  auto const words = cert_words(report.kind);
  report.expiry = judge_expiry(report.not_before, report.not_after, now);
  report.consequence = fill_devices(words.consequence, report.used_by);
  report.act_after = attention_from(report.not_before, report.not_after);
  if (!report.counts) return;
  if (report.expiry != Expiry::good || report.differs) report.next_step = words.next_step;
}

// The Apple ID is what must not be forgotten at renewal: another one cannot renew the topic.
void add_apple_ids(std::vector<CertReport>& reports, sys::Db& db) {
  auto const notes = store::push_topic_notes(db);
  for (auto& report : reports) {
    if (report.kind != "push" || report.next_step.empty() || !report.row || !report.row->topic) continue;
    auto const note = notes.find(*report.row->topic);
    if (note == notes.end() || !note->second.apple_id) continue;
    report.next_step += "; the Apple ID is " + sys::escape_controls(*note->second.apple_id);
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
  CertReport report{row.kind, std::string(cert_words(row.kind).title), row};
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
  if (report.differs) return 2;
  return 4;
}

}  // namespace

Inventory take_inventory(sys::Db& db, Config const& config, Look const& look, sys::Time now) {
  Usage const usage{store::devices_by_topic(db), store::devices_by_issuer(db), store::enrolled_devices(db)};
  Inventory inventory;
  auto& reports = inventory.reports;
  add_stored(reports, db, usage, look.all);
  add_https(inventory, config, look.live, usage.devices);
  if (look.all) {
    add_identities(reports, db);
  } else {
    add_identity_summaries(reports, db, usage);
  }
  for (auto& report : reports) judge(report, now);
  add_apple_ids(reports, db);
  std::stable_sort(reports.begin(), reports.end(), [](CertReport const& a, CertReport const& b) {
    return std::pair(rank(a), a.not_after) < std::pair(rank(b), b.not_after);
  });
  return inventory;
}

}  // namespace service
