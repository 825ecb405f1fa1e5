#include "service/issue_steps.hpp"

#include "store/events.hpp"
#include "sys/crash_point.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::CertificateRow;
using store::CertStatus;
using store::CertView;
using sys::Error;
using sys::Fault;

sys::Cert sign(sys::Db& db, CaKeys& keys, CertificateRow const& row) {
  if (!row.tbs || !row.issuer_id) throw Error(Fault::internal, "issue: a pending row has no bytes to sign");
  CaKey const& ca = keys.issuer(db, *row.issuer_id);
  auto cert = sys::sign_tbs(*row.tbs, ca.key);
  if (!cert.signed_by(ca.cert) || cert.spki_sha256() != row.spki_sha256)
    throw Error(Fault::internal, "issue: the certificate just signed does not verify");
  return cert;
}

// Stores what was signed, unless somebody else did or revoked the row; false: look at what is there.
bool store_signed(sys::Db& db, CertificateRow const& row, sys::Cert const& cert, sys::Time now) {
  return db.transaction([&] {
    if (!store::store_issued(db, row.id, cert, now)) return false;
    store::record_event(db,
                        {.what = "certificate.issued",
                         .who = "device",
                         .enrollment_id = row.enrollment_id,
                         .certificate_sha256 = cert.sha256(),
                         .ticket_id = row.ticket_id,
                         .detail = cert.subject() + ", serial " + sys::hex(row.serial)},
                        now);
    return true;
  });
}

}  // namespace

CertificateRow pending_identity(Config const& config, CaKey const& ca, Applicant const& applicant,
                                IdentitySubject const& subject, sys::Time now) {
  auto const wanted = identity_template(config, subject.uuid, subject.generation, ca.cert, now);
  CertificateRow row;
  row.kind = "identity";
  row.status = CertStatus::pending;
  row.issuer_id = ca.id;
  row.serial = wanted.serial;
  row.subject = "CN=" + subject.uuid;
  row.issuer = ca.cert.subject();
  row.spki_sha256 = sys::sha256(applicant.public_key.public_der());
  row.not_before = wanted.not_before;
  row.not_after = wanted.not_after;
  row.tbs = sys::build_tbs(wanted, applicant.public_key, ca.cert, ca.key);
  row.transaction_id = applicant.transaction_id;
  row.requester = applicant.requester;
  row.request_subject_sha256 = applicant.subject_sha256;
  row.created_at = now;
  return row;
}

bool supersede(sys::Db& db, std::vector<CertificateRow> const& rows, std::string const& why, sys::Time now) {
  for (auto const& row : rows) {
    if (row.status == CertStatus::revoked) continue;
    // Also false for one that another transaction has revoked meanwhile; the sender asks again.
    if (!store::revoke_unseen(db, row.id, "superseded", now)) return false;
    store::record_event(db,
                        {.what = "certificate.revoked",
                         .who = "device",
                         .enrollment_id = row.enrollment_id,
                         .certificate_sha256 = row.sha256,
                         .ticket_id = row.ticket_id,
                         .detail = why + ", serial " + sys::hex(row.serial)},
                        now);
  }
  return true;
}

IssueOutcome finish_issue(sys::Db& db, CaKeys& keys, IssueDecision decision, sys::Time now) {
  if (!decision.row) return decision.refused;
  CertificateRow row = std::move(*decision.row);
  if (row.status == CertStatus::pending) {
    sys::crash_point("certificate-recorded");
    auto const cert = sign(db, keys, row);
    sys::crash_point("certificate-signed");
    store_signed(db, row, cert, now);
    sys::crash_point("certificate-stored");
    if (auto stored = store::find_certificate(db, CertView::device, row.id)) row = std::move(*stored);
  }
  if (!row.der || row.status == CertStatus::revoked)
    return IssueRefused{"another key took its place", row.ticket_id, row.enrollment_id};
  return Issued{sys::Cert::from_der(*row.der), row.ticket_id, row.enrollment_id, decision.found};
}

}  // namespace service
