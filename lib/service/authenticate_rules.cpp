#include "service/authenticate.hpp"

namespace service {

namespace {

NewcomerDecision refused(std::string reason) { return {NewcomerEffect::refuse, std::move(reason)}; }

// Why the ticket is not for this message, or "".
std::string misfit(store::Ticket const& ticket, Newcomer const& facts, proto::Ids const& ids,
                   proto::Authenticate const& message) {
  // Under User Enrollment the device does not say its UDID: a ticket that names one cannot be checked.
  bool const says_udid = ids.channel == proto::Channel::device;
  if (ticket.bind_udid && !(says_udid && *ticket.bind_udid == ids.device))
    return "the ticket names another UDID";
  if (ticket.bind_serial && message.serial_number != ticket.bind_serial)
    return "the ticket names another serial number";
  if (ticket.enrollment_id && facts.named_device != ids.device)
    return "the ticket names the enrolment of another device";
  if (ticket.topic != message.topic) return "a topic that the ticket does not name";
  return {};
}

}  // namespace

NewcomerDecision decide_newcomer(Newcomer const& facts, proto::Ids const& ids,
                                 proto::Authenticate const& message, proto::AuthKind proof,
                                 Reenrollment reenrollment) {
  if (!facts.ticket) return refused("certificate without a ticket");
  auto const& ticket = *facts.ticket;
  if (ticket.purpose == store::TicketPurpose::renew)
    return refused("certificate of a renewal that is bound to no enrolment");
  if (std::string why = misfit(ticket, facts, ids, message); !why.empty()) return refused(std::move(why));
  bool const reusable = ticket.identity == store::TicketIdentity::pkcs12;
  if (ticket.state == store::TicketState::revoked) return refused("the ticket was revoked");
  if (ticket.state == store::TicketState::closed && !reusable) return refused("the ticket was used");
  if (ticket.auth == proto::AuthKind::tls && proof != proto::AuthKind::tls)
    return refused("Mdm-Signature under a ticket for TLS");
  bool const bound = ticket.bind_udid || ticket.bind_serial || ticket.enrollment_id;
  // Whoever holds the identity of the generation that is served has nothing to take over.
  if (bound || !facts.standing || facts.own_identity) return {NewcomerEffect::enroll};
  // An unresolved conflict and an admin's decision to disable are not undone by whoever enrols next.
  bool const settled = facts.standing->state == store::EnrollmentState::current && !facts.standing->frozen;
  if (reenrollment == Reenrollment::allow && settled) return {NewcomerEffect::enroll};
  return {NewcomerEffect::wait};
}

}  // namespace service
