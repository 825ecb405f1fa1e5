// What issuing for a ticket (service/issue) and renewing (service/issue_renewal) have in common: the pending
// row, how another key takes a place, and how whoever finds a pending row of its own key finishes it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "service/issue.hpp"
#include "store/certificates.hpp"

namespace service {

// What the URI SAN of a certificate names: an enrolment's UUID and generation, or a ticket's and 0.
struct IdentitySubject {
  std::string uuid;
  std::int64_t generation = 0;
};

// What one transaction decided: a row of the applicant's key, or a refusal.
struct IssueDecision {
  std::optional<store::CertificateRow> row = {};
  bool found = false;  // the row was there
  IssueRefused refused = {};
};

// A row with a new serial and the bytes to be signed; not stored, bound to nothing.
store::CertificateRow pending_identity(Config const& config, CaKey const& ca, Applicant const& applicant,
                                       IdentitySubject const& subject, sys::Time now);

// Another key takes the place of these certificates, all never seen at /mdm: they are revoked. False when one
// was seen; then the transaction must not be committed with another certificate in it.
bool supersede(sys::Db& db, std::vector<store::CertificateRow> const& rows, std::string const& why,
               sys::Time now);

// Signs and stores what is pending by compare-and-set; the answer is what is stored then, whoever stored it.
IssueOutcome finish_issue(sys::Db& db, CaKeys& keys, IssueDecision decision, sys::Time now);

}  // namespace service
