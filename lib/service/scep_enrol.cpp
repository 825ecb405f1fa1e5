#include "service/issue_renewal.hpp"
#include "service/scep_operations.hpp"
#include "store/certificates.hpp"
#include "sys/digest.hpp"

namespace service {

namespace {

using proto::FailInfo;

ScepOutcome outcome_of(IssueOutcome const& outcome) {
  if (auto const* refused = std::get_if<IssueRefused>(&outcome))
    return ScepRefusal{FailInfo::bad_request, refused->reason, refused->ticket_id, refused->enrollment_id};
  auto const& issued = std::get<Issued>(outcome);
  return ScepGiven{issued.cert, issued.repeated ? "repeated" : "issued", issued.ticket_id,
                   issued.enrollment_id};
}

Applicant applicant(ScepContext const& context, ScepSender const& sender, ScepAsked const& asked) {
  return {asked.key, asked.subject_sha256, sender.transaction_id, context.requester};
}

}  // namespace

ScepOutcome enrol(ScepContext const& context, ScepSender const& sender, ScepAsked const& asked) {
  // Every other client signs its first request with a temporary certificate of its own.
  if (!sender.signer.self_signed() && store::find_identity(context.db, sender.signer.sha256()))
    return renew(context, sender, asked);
  // Whoever repeats another's envelope under a signature of its own gets nothing for it.
  if (!asked.key.same_public_key(sender.signer.public_key()))
    return ScepRefusal{FailInfo::bad_request, "the message is signed with another key than the request's"};
  if (asked.challenge.empty()) return ScepRefusal{FailInfo::bad_request, "no challengePassword"};
  IssueRequest const request{sys::sha256(asked.challenge.view()), applicant(context, sender, asked)};
  return outcome_of(issue_for_ticket(context.db, context.config, context.keys, request, context.now));
}

ScepOutcome renew(ScepContext const& context, ScepSender const& sender, ScepAsked const& asked) {
  if (!context.config.scep_renewal)
    return ScepRefusal{FailInfo::bad_request, "renewal by SCEP is off (scep-renewal = no)"};
  std::optional<std::string> challenge;
  if (!asked.challenge.empty()) challenge = sys::sha256(asked.challenge.view());
  RenewalRequest const request{sender.signer.sha256(), challenge, applicant(context, sender, asked)};
  return outcome_of(issue_renewal(context.db, context.config, context.keys, request, context.now));
}

}  // namespace service
