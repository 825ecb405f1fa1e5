#include "service/issue.hpp"

#include <algorithm>
#include <chrono>

#include "service/issue_steps.hpp"
#include "store/events.hpp"
#include "store/tickets.hpp"
#include "sys/crash_point.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::CertificateRow;
using store::CertStatus;
using store::CertView;
using store::Ticket;
using sys::Error;
using sys::Fault;

constexpr std::chrono::minutes kBackdated{10};

IssueDecision refuse(sys::Db& db, Ticket const& ticket, std::string reason, sys::Time now) {
  store::record_event(db,
                      {.what = "certificate.refused",
                       .who = "device",
                       .external_id = ticket.bind_udid,
                       .enrollment_id = ticket.enrollment_id,
                       .ticket_id = ticket.id,
                       .detail = reason},
                      now);
  return {.refused = {std::move(reason), ticket.id}};
}

// Why the ticket gives no certificate to a new key, nullopt when it does.
std::optional<std::string> closed_to_new_keys(Ticket const& ticket, sys::Time now) {
  if (ticket.state == store::TicketState::closed) return "the ticket is spent: its certificate is in use";
  if (ticket.expires_at <= now) return "the ticket expired " + sys::iso_time(ticket.expires_at);
  if (ticket.identity != store::TicketIdentity::scep) return "the ticket is for a PKCS#12 identity";
  if (ticket.uses > 1) return "the ticket is for several devices; each download of its profile has its own";
  return std::nullopt;
}

// The enrolment's where the ticket names one, else the ticket's own; nullopt when a renewal comes too late.
std::optional<IdentitySubject> subject_of(sys::Db& db, Ticket const& ticket) {
  if (!ticket.enrollment_id) return IdentitySubject{ticket.uuid, 0};
  auto const owner = store::find_identity_owner(db, *ticket.enrollment_id);
  if (!owner) return std::nullopt;
  if (ticket.purpose == store::TicketPurpose::renew && owner->state != "current") return std::nullopt;
  return IdentitySubject{owner->uuid, owner->generation};
}

IssueDecision record_new(sys::Db& db, Config const& config, CaKey const& ca, IssueRequest const& request,
                         Ticket const& ticket, std::vector<CertificateRow> const& rows, sys::Time now) {
  if (auto const why = closed_to_new_keys(ticket, now)) return refuse(db, ticket, *why, now);
  auto const subject = subject_of(db, ticket);
  if (!subject) return refuse(db, ticket, "the enrolment that the ticket is for has ended", now);
  if (ticket.attempts_left < 1) return refuse(db, ticket, "all keys that the ticket allows were tried", now);
  if (!supersede(db, rows, "another key of the same ticket took its place", now))
    return refuse(db, ticket, "a certificate of the ticket is in use with another key", now);
  // Written in every case, so that two nodes of a cluster that issue for one ticket collide.
  store::take_ticket_attempt(db, ticket.id);
  CertificateRow row = pending_identity(config, ca, request.applicant, *subject, now);
  row.ticket_id = ticket.id;
  if (ticket.purpose == store::TicketPurpose::renew) row.enrollment_id = ticket.enrollment_id;
  row.id = store::insert_certificate(db, CertView::device, row);
  sys::crash_point("certificate-written");
  return {.row = std::move(row)};
}

// The one transaction that decides.
IssueDecision decide(sys::Db& db, Config const& config, CaKey const& ca, IssueRequest const& request,
                     sys::Time now) {
  auto const ticket = store::find_ticket_by_challenge(db, request.challenge_sha256, store::Lock::update);
  if (!ticket) return {.refused = {"no ticket has this challenge"}};
  if (ticket->state == store::TicketState::revoked) return refuse(db, *ticket, "the ticket was revoked", now);
  sys::crash_point("ticket-locked");
  auto rows = store::list_certificates(db, CertView::device, {.ticket_id = ticket->id});
  auto const spki = sys::sha256(request.applicant.public_key.public_der());
  for (auto& row : rows) {
    if (row.spki_sha256 != spki) continue;
    // Also after the ticket expired or was spent: it is the answer to a reply that was lost.
    if (row.status != CertStatus::revoked) return {.row = std::move(row), .found = true};
    return refuse(db, *ticket, "the certificate of this key was revoked", now);
  }
  return record_new(db, config, ca, request, *ticket, rows, now);
}

}  // namespace

IssueOutcome issue_for_ticket(sys::Db& db, Config const& config, CaKeys& keys, IssueRequest const& request,
                              sys::Time now) {
  CaKey const ca = keys.active(db, now).ca;
  return finish_issue(db, keys, db.transaction([&] { return decide(db, config, ca, request, now); }), now);
}

sys::CertTemplate identity_template(Config const& config, std::string const& uuid, std::int64_t generation,
                                    sys::Cert const& ca, sys::Time now) {
  auto const second = std::chrono::floor<std::chrono::seconds>(now);  // what a certificate can hold
  if (ca.not_after() <= now)
    throw Error(Fault::internal, "issue: the device CA expired " + sys::iso_time(ca.not_after()));
  sys::CertTemplate wanted;
  wanted.subject = {{"O", ca.subject_value("O").value_or(config.organization)}, {"CN", uuid}};
  wanted.serial = sys::random_serial();
  wanted.not_before = std::max<sys::Time>(second - kBackdated, ca.not_before());
  wanted.not_after = std::min<sys::Time>(second + config.identity_lifetime, ca.not_after());
  wanted.key_usage = sys::kDigitalSignature | sys::kKeyEncipherment;
  wanted.client_auth = true;
  wanted.uri_sans = {"urn:pomona:" + uuid + ':' + std::to_string(generation)};
  return wanted;
}

}  // namespace service
