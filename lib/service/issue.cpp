#include "service/issue.hpp"

#include <algorithm>
#include <chrono>

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

// What one transaction decided: a row of this ticket and key, or a refusal.
struct Decision {
  std::optional<CertificateRow> row = {};
  bool found = false;  // the row was there
  IssueRefused refused = {};
};

Decision refuse(sys::Db& db, Ticket const& ticket, std::string reason, sys::Time now) {
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

struct Subject {
  std::string uuid;
  std::int64_t generation = 0;
};

// The enrolment's where the ticket names one, else the ticket's own; nullopt when a renewal comes too late.
std::optional<Subject> subject_of(sys::Db& db, Ticket const& ticket) {
  if (!ticket.enrollment_id) return Subject{ticket.uuid, 0};
  auto const owner = store::find_identity_owner(db, *ticket.enrollment_id);
  if (!owner) return std::nullopt;
  if (ticket.purpose == store::TicketPurpose::renew && owner->state != "current") return std::nullopt;
  return Subject{owner->uuid, owner->generation};
}

// Another key takes the place of the ticket's certificates, all never seen. False when one was seen.
bool supersede(sys::Db& db, Ticket const& ticket, std::vector<CertificateRow> const& rows, sys::Time now) {
  for (auto const& row : rows) {
    if (row.status == CertStatus::revoked) continue;
    if (row.first_seen_at) return false;
    store::revoke_certificate(db, CertView::device, row.id, "superseded", now);
    store::record_event(
        db,
        {.what = "certificate.revoked",
         .who = "device",
         .enrollment_id = row.enrollment_id,
         .certificate_sha256 = row.sha256,
         .ticket_id = ticket.id,
         .detail = "another key of the same ticket took its place, serial " + sys::hex(row.serial)},
        now);
  }
  return true;
}

CertificateRow pending_row(Config const& config, CaKey const& ca, IssueRequest const& request,
                           Ticket const& ticket, Subject const& subject, sys::Time now) {
  auto const wanted = identity_template(config, subject.uuid, subject.generation, ca.cert, now);
  CertificateRow row;
  row.kind = "identity";
  row.status = CertStatus::pending;
  row.issuer_id = ca.id;
  row.serial = wanted.serial;
  row.subject = "CN=" + subject.uuid;
  row.issuer = ca.cert.subject();
  row.spki_sha256 = sys::sha256(request.public_key.public_der());
  row.not_before = wanted.not_before;
  row.not_after = wanted.not_after;
  row.tbs = sys::build_tbs(wanted, request.public_key, ca.cert, ca.key);
  row.ticket_id = ticket.id;
  if (ticket.purpose == store::TicketPurpose::renew) row.enrollment_id = ticket.enrollment_id;
  row.transaction_id = request.transaction_id;
  row.requester = request.requester;
  row.created_at = now;
  return row;
}

Decision record_new(sys::Db& db, Config const& config, CaKey const& ca, IssueRequest const& request,
                    Ticket const& ticket, std::vector<CertificateRow> const& rows, sys::Time now) {
  if (auto const why = closed_to_new_keys(ticket, now)) return refuse(db, ticket, *why, now);
  auto const subject = subject_of(db, ticket);
  if (!subject) return refuse(db, ticket, "the enrolment that the ticket is for has ended", now);
  if (ticket.attempts_left < 1) return refuse(db, ticket, "all keys that the ticket allows were tried", now);
  if (!supersede(db, ticket, rows, now))
    return refuse(db, ticket, "a certificate of the ticket is in use with another key", now);
  // Written in every case, so that two nodes of a cluster that issue for one ticket collide.
  store::take_ticket_attempt(db, ticket.id);
  CertificateRow row = pending_row(config, ca, request, ticket, *subject, now);
  row.id = store::insert_certificate(db, CertView::device, row);
  return {.row = std::move(row)};
}

// The one transaction that decides.
Decision decide(sys::Db& db, Config const& config, CaKey const& ca, IssueRequest const& request,
                sys::Time now) {
  auto const ticket = store::find_ticket_by_challenge(db, request.challenge_sha256, store::Lock::update);
  if (!ticket) return {.refused = {"no ticket has this challenge"}};
  if (ticket->state == store::TicketState::revoked) return refuse(db, *ticket, "the ticket was revoked", now);
  auto rows = store::list_certificates(db, CertView::device, {.ticket_id = ticket->id});
  auto const spki = sys::sha256(request.public_key.public_der());
  for (auto& row : rows) {
    if (row.spki_sha256 != spki) continue;
    // Also after the ticket expired or was spent: it is the answer to a reply that was lost.
    if (row.status != CertStatus::revoked) return {.row = std::move(row), .found = true};
    return refuse(db, *ticket, "the certificate of this key was revoked", now);
  }
  return record_new(db, config, ca, request, *ticket, rows, now);
}

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

IssueOutcome issue_for_ticket(sys::Db& db, Config const& config, CaKeys& keys, IssueRequest const& request,
                              sys::Time now) {
  CaKey const ca = keys.active(db, now).ca;
  Decision decision = db.transaction([&] { return decide(db, config, ca, request, now); });
  if (!decision.row) return decision.refused;
  std::int64_t const id = decision.row->id;
  std::int64_t const ticket_id = decision.row->ticket_id.value_or(0);
  if (decision.row->status == CertStatus::pending) {
    sys::crash_point("certificate-recorded");
    store_signed(db, *decision.row, sign(db, keys, *decision.row), now);
    sys::crash_point("certificate-stored");
    decision.row = store::find_certificate(db, CertView::device, id);
  }
  // What is stored is the answer, whoever stored it.
  if (!decision.row || !decision.row->der || decision.row->status == CertStatus::revoked)
    return IssueRefused{"another key of the same ticket took its place", ticket_id};
  return Issued{sys::Cert::from_der(*decision.row->der), ticket_id, decision.found};
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
