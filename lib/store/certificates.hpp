// Every certificate the server knows, by kind, and the life of device identities:
//
//   pending (serial and to-be-signed bytes recorded) -> issued -> retiring (a newer one was seen at /mdm)
//   -> retired; or -> revoked from any of them. Status of ca, ra, push, ...: next, active, retired.
//
// Programs reach the table through the view that they were granted; the caller names it. Private keys are in
// store/secrets, found by secret_id. Nothing here decides whom to trust. Error{conflict} for a SHA-256 or an
// (issuer, serial) that is there already.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"
#include "sys/x509.hpp"

namespace store {

enum class CertStatus { pending, issued, next, active, retiring, retired, revoked };
std::string_view cert_status_name(CertStatus status) noexcept;

// certificates_device (identities), certificates_ca (ca and ra), certificates_push, certificates_public (all
// but identities, without the columns that only the owner needs: no spki, tbs, secret_id), the whole table
// (the pomona command only).
enum class CertView { device, ca, push, published, all };

struct CertificateRow {
  std::int64_t id = 0;
  std::string kind = {};                 // identity, ca, ra, push, https, ... (sql/0001_base.sql)
  std::optional<std::string> name = {};  // what an admin calls it
  CertStatus status = CertStatus::pending;
  std::optional<std::int64_t> issuer_id = {};
  std::string serial = {};  // unsigned big-endian
  std::string subject = {};
  std::string issuer = {};
  std::optional<std::string> sha256 = {};  // of the DER; none while pending
  std::string spki_sha256 = {};            // "" from CertView::published
  sys::Time not_before = {};
  sys::Time not_after = {};
  std::optional<std::string> topic = {};
  std::optional<std::string> tbs = {};
  std::optional<std::string> der = {};
  std::optional<std::string> chain = {};  // PEM of further certificates
  std::optional<std::string> secret_id = {};
  std::optional<std::int64_t> ticket_id = {};
  std::optional<std::int64_t> enrollment_id = {};  // the device channel an identity is bound to
  std::optional<std::int64_t> renews_id = {};
  std::optional<std::string> transaction_id = {};
  std::optional<std::string> requester = {};
  sys::Time created_at = {};                // "now" of the insert; from CertView::published not_before
  std::optional<sys::Time> issued_at = {};  // these five: none from CertView::published
  std::optional<sys::Time> first_seen_at = {};
  std::optional<sys::Time> retiring_at = {};
  std::optional<sys::Time> ended_at = {};
  std::optional<std::string> revoke_reason = {};
  std::optional<std::string> request_subject_sha256 = {};  // what the request called itself
};

// A row of what the certificate itself says (subject, issuer, serial, hashes, dates, der).
CertificateRow certificate_row(std::string kind, CertStatus status, sys::Cert const& cert);

// `row.id` is not looked at. Returns the id.
std::int64_t insert_certificate(sys::Db& db, CertView view, CertificateRow const& row);

std::optional<CertificateRow> find_certificate(sys::Db& db, CertView view, std::int64_t id);
std::optional<CertificateRow> find_certificate_by_sha256(sys::Db& db, CertView view, std::string_view sha256);

struct CertFilter {
  std::optional<std::string> kind = {};
  std::optional<CertStatus> status = {};
  std::optional<std::string> name = {};
  std::optional<std::int64_t> enrollment_id = {};  // not with CertView::published, as the next three
  std::optional<std::int64_t> ticket_id = {};
  std::optional<std::int64_t> renews_id = {};
  std::optional<std::string> spki_sha256 = {};
  std::int64_t above_id = 0;  // the cursor of a page
  std::int64_t limit = 10000;
};
std::vector<CertificateRow> list_certificates(sys::Db& db, CertView view, CertFilter const& filter);

void set_certificate_status(sys::Db& db, CertView view, std::int64_t id, CertStatus status, sys::Time now);
void set_certificate_secret(sys::Db& db, CertView view, std::int64_t id, std::string const& secret_id);

// --- the issuing CA ---------------------------------------------------------------------------------------

// Every CA whose identities are believed: kind ca in any status but pending and revoked, expired ones
// included (an expired identity may still be renewed). Needs CertView::published or ca or all.
std::vector<CertificateRow> trusted_cas(sys::Db& db, CertView view = CertView::published);

// The CA that issues now, and its RA certificate (the newest active one). None before `pomona ca init`.
std::optional<CertificateRow> active_ca(sys::Db& db, CertView view = CertView::published);
std::optional<CertificateRow> active_ra(sys::Db& db, std::int64_t ca_id, CertView view);

struct IssuedCounts {
  std::int64_t pending = 0;
  std::int64_t issued = 0;
  std::int64_t retiring = 0;
  std::int64_t retired = 0;
  std::int64_t revoked = 0;
};
IssuedCounts issued_counts(sys::Db& db, std::int64_t ca_id);  // the pomona command only

// --- device identities (certificates_device) --------------------------------------------------------------

inline std::optional<CertificateRow> find_identity(sys::Db& db, std::string_view sha256) {
  return find_certificate_by_sha256(db, CertView::device, sha256);
}

// What the URI SAN of an enrolment's certificates names.
struct IdentityOwner {
  std::string uuid;
  std::int64_t generation = 0;
  std::string state;  // of enrollments
};
std::optional<IdentityOwner> find_identity_owner(sys::Db& db, std::int64_t enrollment_id);

// Compare-and-set: gives the pending row its certificate; false when it was pending no more.
bool store_issued(sys::Db& db, std::int64_t id, sys::Cert const& cert, sys::Time now);

// Sets first_seen_at at first; false when it was seen before or has been revoked in the meantime.
bool mark_seen(sys::Db& db, std::int64_t id, sys::Time now);

// Whether an event may tell that the identity was refused for this reason: the first time, and once in each
// interval. Whoever recorded a request made with it could fill the table of events otherwise.
bool take_refusal_event(sys::Db& db, std::int64_t id, std::string_view reason, sys::Time now,
                        sys::seconds interval);

// False when it is bound to another enrolment or was revoked.
bool bind_to_enrollment(sys::Db& db, std::int64_t id, std::int64_t enrollment_id);

// An embedded PKCS#12 identity that enrols again; false when it is not bound to `from` or was revoked.
bool rebind_to_enrollment(sys::Db& db, std::int64_t id, std::int64_t from, std::int64_t to);

// One more key for the renewal of an issued identity; false when `most` were tried or it is issued no more.
// It writes the row, so that two nodes of a cluster that renew one certificate collide.
bool take_renewal_key(sys::Db& db, std::int64_t id, std::int64_t most);

// At the first message with certificate `seen_id` of the enrolment: its other issued identities become
// `retiring` if they were ever seen, and are revoked ("superseded") if they never were; pending ones of
// renewals too.
void retire_others(sys::Db& db, std::int64_t enrollment_id, std::int64_t seen_id, sys::Time now);

// Any status but revoked -> revoked; false when it was revoked already.
bool revoke_certificate(sys::Db& db, CertView view, std::int64_t id, std::string_view reason, sys::Time now);
// The same for one that was never seen at /mdm; false also when it was.
bool revoke_unseen(sys::Db& db, std::int64_t id, std::string_view reason, sys::Time now);
// Of a ticket and its children: what was issued and never seen at /mdm goes with the permission. Returns how
// many. The pomona command only.
std::uint64_t revoke_unseen_of_ticket(sys::Db& db, std::int64_t ticket_id, std::string_view reason,
                                      sys::Time now);
// All of an enrolment that are not revoked yet (disabled, rejected, replaced). Returns how many.
std::uint64_t revoke_identities(sys::Db& db, std::int64_t enrollment_id, std::string_view reason,
                                sys::Time now);

}  // namespace store
