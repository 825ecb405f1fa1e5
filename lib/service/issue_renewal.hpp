// Renewal of an identity by whoever holds it, without a ticket (docs/data-and-trust.md section 4; RFC 8894
// section 2.5). Only with `scep-renewal = yes`; the caller asks that.
//
// The signer's certificate is found by its SHA-256 among those that we issued or took in. It must be bound to
// an enrolment that is current and not frozen, and it must itself be issued (neither revoked nor replaced by
// a newer one that was seen), within its dates and in the second half of them (service/renewal_window). The
// new certificate is bound to the same enrolment and named after it; at /mdm its first message makes the
// older one retire.
//
// The answer depends on (signer's certificate, public key) alone, as with tickets. Never more than one
// certificate that renews the signer's is in force and unseen: another key takes the place of the earlier
// one, until `ticket-attempts` keys were tried.
//
// The caller has checked the signer's signature over the request, and the request's own, which proves the new
// key.
#pragma once

#include <optional>
#include <string>

#include "service/issue.hpp"

namespace service {

struct RenewalRequest {
  std::string signer_sha256;  // of the certificate that signed
  // None: no challenge. Clients repeat the one they once enrolled with; one of another device fails.
  std::optional<std::string> challenge_sha256;
  Applicant applicant;
};

// Writes the events certificate.issued, certificate.revoked and certificate.refused.
IssueOutcome issue_renewal(sys::Db& db, Config const& config, CaKeys& keys, RenewalRequest const& request,
                           sys::Time now);

}  // namespace service
