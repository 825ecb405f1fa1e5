#include "service/issue_renewal.hpp"

#include "service/issue_steps.hpp"
#include "service/renewal_window.hpp"
#include "store/enrollments.hpp"
#include "store/events.hpp"
#include "store/tickets.hpp"
#include "sys/crash_point.hpp"
#include "sys/digest.hpp"

namespace service {

namespace {

using store::CertificateRow;
using store::CertStatus;
using store::CertView;
using store::Enrollment;

struct Renewal {
  CertificateRow signer;
  Enrollment enrollment;
};

IssueDecision refuse(sys::Db& db, Renewal const& renewal, std::string reason, sys::Time now) {
  constexpr sys::seconds kBetweenEvents{300};
  if (store::take_refusal_event(db, renewal.signer.id, reason, now, kBetweenEvents))
    store::record_event(db,
                        {.what = "certificate.refused",
                         .who = "device",
                         .external_id = renewal.enrollment.external_id,
                         .enrollment_id = renewal.enrollment.id,
                         .certificate_sha256 = renewal.signer.sha256,
                         .ticket_id = renewal.signer.ticket_id,
                         .detail = "renewal: " + reason},
                        now);
  return {.refused = {std::move(reason), renewal.signer.ticket_id, renewal.enrollment.id}};
}

// Why the holder of the certificate gets nothing at all, nullopt when it may get at least what it got before.
std::optional<std::string> closed(Renewal const& renewal) {
  auto const& enrollment = renewal.enrollment;
  if (renewal.signer.status == CertStatus::revoked) return "the signer's certificate was revoked";
  if (enrollment.state != store::EnrollmentState::current)
    return "the enrolment is " + std::string(store::enrollment_state_name(enrollment.state));
  if (enrollment.frozen) return "the enrolment is frozen until its identity conflict is resolved";
  return std::nullopt;
}

// Why no new certificate is issued, nullopt when one is.
std::optional<std::string> closed_to_new_keys(CertificateRow const& signer, sys::Time now) {
  if (signer.status != CertStatus::issued) return "a newer certificate than the signer's is in use";
  if (now > signer.not_after) return "the signer's certificate expired " + sys::iso_time(signer.not_after);
  if (!in_renewal_window(signer.not_before, signer.not_after, now)) {
    return "too early: the signer's certificate may be renewed from " +
           sys::iso_time(renewal_opens(signer.not_before, signer.not_after));
  }
  return std::nullopt;
}

// Of the signer's ticket, of another ticket under which its enrolment got a certificate, or of one for it.
bool is_own_challenge(sys::Db& db, Renewal const& renewal, std::string const& challenge_sha256) {
  auto const ticket = store::find_ticket_by_challenge(db, challenge_sha256);
  if (!ticket || ticket->state == store::TicketState::revoked) return false;
  if (ticket->id == renewal.signer.ticket_id || ticket->enrollment_id == renewal.enrollment.id) return true;
  store::CertFilter filter;
  filter.enrollment_id = renewal.enrollment.id;
  filter.ticket_id = ticket->id;
  return !store::list_certificates(db, CertView::device, filter).empty();
}

IssueDecision record_new(sys::Db& db, Config const& config, CaKey const& ca, Applicant const& applicant,
                         Renewal const& renewal, std::vector<CertificateRow> const& rows, sys::Time now) {
  auto const& signer = renewal.signer;
  if (auto const why = closed_to_new_keys(signer, now)) return refuse(db, renewal, *why, now);
  if (!store::take_renewal_key(db, signer.id, config.ticket_attempts))
    return refuse(db, renewal, "all keys that one certificate may be renewed with were tried", now);
  if (!supersede(db, rows, "another key renews the same certificate", now))
    return refuse(db, renewal, "a renewal of the signer's certificate is in use with another key", now);
  auto row =
      pending_identity(config, ca, applicant, {renewal.enrollment.uuid, renewal.enrollment.generation}, now);
  row.enrollment_id = renewal.enrollment.id;
  row.renews_id = signer.id;
  row.id = store::insert_certificate(db, CertView::device, row);
  sys::crash_point("scep-renewal-written");
  return {.row = std::move(row)};
}

// The one transaction that decides.
IssueDecision decide(sys::Db& db, Config const& config, CaKey const& ca, RenewalRequest const& request,
                     sys::Time now) {
  auto const known = store::find_identity(db, request.signer_sha256);
  if (!known) return {.refused = {"renewal: the signer's certificate is none of ours"}};
  if (!known->enrollment_id)
    return {.refused = {"renewal: the signer's certificate is bound to no enrolment", known->ticket_id}};
  // Locked, so that requests of one device come one after the other, and none beside the enrolment's end.
  auto enrollment = store::find_enrollment(db, *known->enrollment_id, store::Lock::update);
  auto signer = store::find_certificate(db, CertView::device, known->id);
  if (!enrollment || !signer) return {.refused = {"renewal: the signer's certificate is gone"}};
  Renewal const renewal{std::move(*signer), std::move(*enrollment)};
  if (auto const why = closed(renewal)) return refuse(db, renewal, *why, now);
  if (request.challenge_sha256 && !is_own_challenge(db, renewal, *request.challenge_sha256))
    return refuse(db, renewal, "the challenge is none of this enrolment's", now);
  auto rows = store::list_certificates(db, CertView::device, {.renews_id = renewal.signer.id});
  auto const spki = sys::sha256(request.applicant.public_key.public_der());
  for (auto& row : rows) {
    if (row.spki_sha256 != spki) continue;
    // Also when the window has closed or the signer's retires: it is the answer to a reply that was lost.
    if (row.status != CertStatus::revoked) return {.row = std::move(row), .found = true};
    return refuse(db, renewal, "the certificate of this key was revoked", now);
  }
  return record_new(db, config, ca, request.applicant, renewal, rows, now);
}

}  // namespace

IssueOutcome issue_renewal(sys::Db& db, Config const& config, CaKeys& keys, RenewalRequest const& request,
                           sys::Time now) {
  CaKey const ca = keys.active(db, now).ca;
  return finish_issue(db, keys, db.transaction([&] { return decide(db, config, ca, request, now); }), now);
}

}  // namespace service
