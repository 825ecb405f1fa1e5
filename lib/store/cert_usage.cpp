#include "store/cert_usage.hpp"

namespace store {

namespace {

constexpr std::string_view kInForce =
    "FROM certificates_device c LEFT JOIN enrollments e ON e.id = c.enrollment_id "
    "WHERE c.kind = 'identity' AND c.status = 'issued' AND (e.id IS NULL OR e.state = 'current') ";

}  // namespace

std::map<std::string, std::int64_t> devices_by_topic(sys::Db& db) {
  std::map<std::string, std::int64_t> counts;
  for (auto const& row : db.query(
           "SELECT topic, COUNT(*) FROM enrollments WHERE state = 'current' AND parent_id IS NULL GROUP BY "
           "topic"))
    counts[row.text(0)] = row.integer(1);
  return counts;
}

std::map<std::int64_t, std::int64_t> devices_by_issuer(sys::Db& db) {
  std::map<std::int64_t, std::int64_t> counts;
  for (auto const& row : db.query(
           "SELECT c.issuer_id, COUNT(DISTINCT c.enrollment_id) FROM certificates_device c JOIN enrollments "
           "e ON "
           "e.id "
           "= c.enrollment_id WHERE c.kind = 'identity' AND c.status IN ('issued', 'retiring') AND e.state = "
           "'current' AND c.issuer_id IS NOT NULL GROUP BY c.issuer_id"))
    counts[row.integer(0)] = row.integer(1);
  return counts;
}

std::int64_t enrolled_devices(sys::Db& db) {
  auto const row =
      db.query_row("SELECT COUNT(*) FROM enrollments WHERE state = 'current' AND parent_id IS NULL");
  return row ? row->integer(0) : 0;
}

std::vector<IdentitySummary> summarise_identities(sys::Db& db) {
  std::vector<IdentitySummary> out;
  for (auto const& row : db.query("SELECT COALESCE(c.issuer_id, 0), COUNT(*), SUM(c.first_seen_at IS NULL) " +
                                  std::string(kInForce) + "GROUP BY c.issuer_id")) {
    IdentitySummary summary{row.integer(0), row.integer(1), row.integer(2), {}, {}};
    auto const first = db.query_row("SELECT c.not_before, c.not_after " + std::string(kInForce) +
                                        "AND COALESCE(c.issuer_id, 0) = ? ORDER BY c.not_after LIMIT 1",
                                    {summary.issuer_id});
    if (!first) continue;
    summary.not_before = first->time(0);
    summary.not_after = first->time(1);
    out.push_back(summary);
  }
  return out;
}

std::vector<DeviceIdentity> identities_in_force(sys::Db& db, std::int64_t limit) {
  std::vector<DeviceIdentity> out;
  for (auto const& row : db.query(
           "SELECT c.id, e.external_id " + std::string(kInForce) + "ORDER BY c.not_after LIMIT ?", {limit})) {
    auto found = find_certificate(db, CertView::device, row.integer(0));
    if (found) out.push_back({std::move(*found), row.maybe_text(1)});
  }
  return out;
}

}  // namespace store
