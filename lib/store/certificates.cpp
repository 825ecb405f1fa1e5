#include "store/certificates.hpp"

#include <array>

#include "sys/digest.hpp"
#include "sys/error.hpp"

namespace store {

namespace {

constexpr std::array<std::string_view, 7> kStatuses{"pending",  "issued",  "next",   "active",
                                                    "retiring", "retired", "revoked"};

constexpr std::string_view kColumns =
    "id, kind, name, status, issuer_id, serial, subject, issuer, sha256, spki_sha256, not_before, not_after, "
    "topic, tbs, der, chain, secret_id, ticket_id, enrollment_id, renews_id, transaction_id, requester, "
    "created_at, issued_at, first_seen_at, retiring_at, ended_at, revoke_reason, request_subject_sha256";
constexpr std::string_view kPublicColumns =
    "id, kind, name, status, issuer_id, serial, subject, issuer, sha256, '', not_before, not_after, "
    "topic, NULL, der, chain, NULL, NULL, NULL, NULL, NULL, NULL, not_before, NULL, NULL, NULL, NULL, NULL, "
    "NULL";

// Fixed words only: a view's name never comes from outside.
std::string view_name(CertView view) {
  switch (view) {
    case CertView::device:
      return "certificates_device";
    case CertView::ca:
      return "certificates_ca";
    case CertView::push:
      return "certificates_push";
    case CertView::published:
      return "certificates_public";
    case CertView::all:
      break;
  }
  return "certificates";
}

std::string select(CertView view) {
  auto const columns = view == CertView::published ? kPublicColumns : kColumns;
  return "SELECT " + std::string(columns) + " FROM " + view_name(view);
}

CertStatus read_status(std::string_view text) {
  for (std::size_t i = 0; i < kStatuses.size(); ++i) {
    if (kStatuses[i] == text) return static_cast<CertStatus>(i);
  }
  throw sys::Error(sys::Fault::internal, "certificate: unknown status " + std::string(text));
}

CertificateRow read_row(sys::DbRow const& row) {
  CertificateRow cert;
  cert.id = row.integer(0);
  cert.kind = row.text(1);
  cert.name = row.maybe_text(2);
  cert.status = read_status(row.text(3));
  cert.issuer_id = row.maybe_integer(4);
  cert.serial = row.text(5);
  cert.subject = row.text(6);
  cert.issuer = row.text(7);
  cert.sha256 = row.maybe_text(8);
  cert.spki_sha256 = row.text(9);
  cert.not_before = row.time(10);
  cert.not_after = row.time(11);
  cert.topic = row.maybe_text(12);
  cert.tbs = row.maybe_text(13);
  cert.der = row.maybe_text(14);
  cert.chain = row.maybe_text(15);
  cert.secret_id = row.maybe_text(16);
  cert.ticket_id = row.maybe_integer(17);
  cert.enrollment_id = row.maybe_integer(18);
  cert.renews_id = row.maybe_integer(19);
  cert.transaction_id = row.maybe_text(20);
  cert.requester = row.maybe_text(21);
  cert.created_at = row.time(22);
  cert.issued_at = row.maybe_time(23);
  cert.first_seen_at = row.maybe_time(24);
  cert.retiring_at = row.maybe_time(25);
  cert.ended_at = row.maybe_time(26);
  cert.revoke_reason = row.maybe_text(27);
  cert.request_subject_sha256 = row.maybe_text(28);
  return cert;
}

std::optional<CertificateRow> read_first(std::optional<sys::DbRow> const& row) {
  if (!row) return std::nullopt;
  return read_row(*row);
}

std::vector<CertificateRow> read_all(sys::DbRows const& rows) {
  std::vector<CertificateRow> out;
  out.reserve(rows.size());
  for (auto const& row : rows) out.push_back(read_row(row));
  return out;
}

// The columns are of one width: a name that is longer is cut for the listing, the DER has it whole.
std::string cut(std::string const& text) {
  constexpr std::size_t kLongest = 1000;
  return text.substr(0, kLongest);
}

}  // namespace

std::string_view cert_status_name(CertStatus status) noexcept {
  return kStatuses[static_cast<std::size_t>(status)];
}

CertificateRow certificate_row(std::string kind, CertStatus status, sys::Cert const& cert) {
  CertificateRow row;
  row.kind = std::move(kind);
  row.status = status;
  row.serial = cert.serial();
  row.subject = cut(cert.subject());
  row.issuer = cut(cert.issuer());
  row.sha256 = cert.sha256();
  row.spki_sha256 = cert.spki_sha256();
  row.not_before = cert.not_before();
  row.not_after = cert.not_after();
  row.der = cert.der();
  return row;
}

std::int64_t insert_certificate(sys::Db& db, CertView view, CertificateRow const& row) {
  return static_cast<std::int64_t>(db.insert(
      "INSERT INTO " + view_name(view) +
          " (kind, name, status, issuer_id, serial, subject, issuer, sha256, spki_sha256, not_before, "
          "not_after, topic, tbs, der, chain, secret_id, ticket_id, enrollment_id, renews_id, "
          "transaction_id, requester, created_at, issued_at, request_subject_sha256) "
          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {row.kind,
       row.name,
       cert_status_name(row.status),
       row.issuer_id,
       row.serial,
       row.subject,
       row.issuer,
       row.sha256,
       row.spki_sha256,
       row.not_before,
       row.not_after,
       row.topic,
       row.tbs,
       row.der,
       row.chain,
       row.secret_id,
       row.ticket_id,
       row.enrollment_id,
       row.renews_id,
       row.transaction_id,
       row.requester,
       row.created_at,
       row.issued_at,
       row.request_subject_sha256}));
}

std::optional<CertificateRow> find_certificate(sys::Db& db, CertView view, std::int64_t id) {
  return read_first(db.query_row(select(view) + " WHERE id = ?", {id}));
}

std::optional<CertificateRow> find_certificate_by_sha256(sys::Db& db, CertView view,
                                                         std::string_view sha256) {
  return read_first(db.query_row(select(view) + " WHERE sha256 = ?", {sha256}));
}

std::vector<CertificateRow> list_certificates(sys::Db& db, CertView view, CertFilter const& filter) {
  std::string where = " WHERE id > ?";
  sys::DbParams params{filter.above_id};
  auto const also = [&](char const* condition, auto const& value) {
    if (!value) return;
    where += condition;
    params.emplace_back(*value);
  };
  also(" AND kind = ?", filter.kind);
  also(" AND name = ?", filter.name);
  also(" AND enrollment_id = ?", filter.enrollment_id);
  also(" AND ticket_id = ?", filter.ticket_id);
  also(" AND renews_id = ?", filter.renews_id);
  also(" AND spki_sha256 = ?", filter.spki_sha256);
  if (filter.status) {
    where += " AND status = ?";
    params.emplace_back(cert_status_name(*filter.status));
  }
  params.emplace_back(filter.limit);
  return read_all(db.query(select(view) + where + " ORDER BY id LIMIT ?", params));
}

void set_certificate_status(sys::Db& db, CertView view, std::int64_t id, CertStatus status, sys::Time now) {
  bool const ends = status == CertStatus::retired || status == CertStatus::revoked;
  db.execute("UPDATE " + view_name(view) + " SET status = ?, ended_at = IF(?, ?, ended_at) WHERE id = ?",
             {cert_status_name(status), ends, now, id});
}

void set_certificate_secret(sys::Db& db, CertView view, std::int64_t id, std::string const& secret_id) {
  db.execute("UPDATE " + view_name(view) + " SET secret_id = ? WHERE id = ?", {secret_id, id});
}

std::vector<CertificateRow> trusted_cas(sys::Db& db, CertView view) {
  return read_all(
      db.query(select(view) + " WHERE kind = 'ca' AND status NOT IN ('pending', 'revoked') ORDER BY id"));
}

std::optional<CertificateRow> active_ca(sys::Db& db, CertView view) {
  return read_first(
      db.query_row(select(view) + " WHERE kind = 'ca' AND status = 'active' ORDER BY id DESC LIMIT 1"));
}

std::optional<CertificateRow> active_ra(sys::Db& db, std::int64_t ca_id, CertView view) {
  return read_first(db.query_row(
      select(view) + " WHERE kind = 'ra' AND status = 'active' AND issuer_id = ? ORDER BY id DESC LIMIT 1",
      {ca_id}));
}

IssuedCounts issued_counts(sys::Db& db, std::int64_t ca_id) {
  IssuedCounts counts;
  for (auto const& row :
       db.query("SELECT status, COUNT(*) FROM certificates WHERE kind = 'identity' AND issuer_id = ? "
                "GROUP BY status",
                {ca_id})) {
    auto const count = row.integer(1);
    switch (read_status(row.text(0))) {
      case CertStatus::pending:
        counts.pending = count;
        break;
      case CertStatus::retiring:
        counts.retiring = count;
        break;
      case CertStatus::retired:
        counts.retired = count;
        break;
      case CertStatus::revoked:
        counts.revoked = count;
        break;
      default:
        counts.issued += count;
    }
  }
  return counts;
}

std::optional<IdentityOwner> find_identity_owner(sys::Db& db, std::int64_t enrollment_id) {
  auto const row =
      db.query_row("SELECT uuid, generation, state FROM enrollments WHERE id = ?", {enrollment_id});
  if (!row) return std::nullopt;
  return IdentityOwner{row->text(0), row->integer(1), row->text(2)};
}

bool store_issued(sys::Db& db, std::int64_t id, sys::Cert const& cert, sys::Time now) {
  return db.execute(
             "UPDATE certificates_device SET status = 'issued', der = ?, sha256 = ?, subject = ?, "
             "issued_at = ? WHERE id = ? AND status = 'pending'",
             {cert.der(), cert.sha256(), cut(cert.subject()), now, id}) == 1;
}

bool mark_seen(sys::Db& db, std::int64_t id, sys::Time now) {
  return db.execute(
             "UPDATE certificates_device SET first_seen_at = ? "
             "WHERE id = ? AND first_seen_at IS NULL AND status <> 'revoked'",
             {now, id}) == 1;
}

bool take_refusal_event(sys::Db& db, std::int64_t id, std::string_view reason, sys::Time now,
                        sys::seconds interval) {
  return db.execute(
             "UPDATE certificates_device SET refusal_told_at = ?, refusal_told = ? "
             "WHERE id = ? AND (refusal_told IS NULL OR refusal_told <> ? OR refusal_told_at <= ?)",
             {now, sys::sha256(reason), id, sys::sha256(reason), now - interval}) == 1;
}

bool bind_to_enrollment(sys::Db& db, std::int64_t id, std::int64_t enrollment_id) {
  return db.execute(
             "UPDATE certificates_device SET enrollment_id = ? "
             "WHERE id = ? AND status <> 'revoked' AND (enrollment_id IS NULL OR enrollment_id = ?)",
             {enrollment_id, id, enrollment_id}) == 1;
}

bool rebind_to_enrollment(sys::Db& db, std::int64_t id, std::int64_t from, std::int64_t to) {
  return db.execute(
             "UPDATE certificates_device SET enrollment_id = ? "
             "WHERE id = ? AND status <> 'revoked' AND enrollment_id = ?",
             {to, id, from}) == 1;
}

bool take_renewal_key(sys::Db& db, std::int64_t id, std::int64_t most) {
  return db.execute(
             "UPDATE certificates_device SET renewal_keys = renewal_keys + 1 "
             "WHERE id = ? AND status = 'issued' AND renewal_keys < ?",
             {id, most}) == 1;
}

void retire_others(sys::Db& db, std::int64_t enrollment_id, std::int64_t seen_id, sys::Time now) {
  db.execute(
      "UPDATE certificates_device SET status = 'retiring', retiring_at = ? "
      "WHERE enrollment_id = ? AND id <> ? AND status = 'issued' AND first_seen_at IS NOT NULL",
      {now, enrollment_id, seen_id});
  db.execute(
      "UPDATE certificates_device SET status = 'revoked', ended_at = ?, revoke_reason = 'superseded' "
      "WHERE enrollment_id = ? AND id <> ? AND status IN ('pending', 'issued') AND first_seen_at IS NULL",
      {now, enrollment_id, seen_id});
}

bool revoke_certificate(sys::Db& db, CertView view, std::int64_t id, std::string_view reason, sys::Time now) {
  return db.execute("UPDATE " + view_name(view) +
                        " SET status = 'revoked', ended_at = ?, revoke_reason = ? "
                        "WHERE id = ? AND status <> 'revoked'",
                    {now, reason, id}) == 1;
}

bool revoke_unseen(sys::Db& db, std::int64_t id, std::string_view reason, sys::Time now) {
  return db.execute(
             "UPDATE certificates_device SET status = 'revoked', ended_at = ?, revoke_reason = ? "
             "WHERE id = ? AND status <> 'revoked' AND first_seen_at IS NULL",
             {now, reason, id}) == 1;
}

std::uint64_t revoke_unseen_of_ticket(sys::Db& db, std::int64_t ticket_id, std::string_view reason,
                                      sys::Time now) {
  return db.execute(
      "UPDATE certificates SET status = 'revoked', ended_at = ?, revoke_reason = ? "
      "WHERE kind = 'identity' AND status IN ('pending', 'issued') AND first_seen_at IS NULL "
      "AND ticket_id IN (SELECT id FROM tickets WHERE id = ? OR parent_id = ?)",
      {now, reason, ticket_id, ticket_id});
}

std::uint64_t revoke_identities(sys::Db& db, std::int64_t enrollment_id, std::string_view reason,
                                sys::Time now) {
  return db.execute(
      "UPDATE certificates_device SET status = 'revoked', ended_at = ?, revoke_reason = ? "
      "WHERE enrollment_id = ? AND status <> 'revoked'",
      {now, reason, enrollment_id});
}

}  // namespace store
