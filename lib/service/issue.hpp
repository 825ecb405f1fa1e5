// Whom a device certificate is issued to (docs/data-and-trust.md section 4). Knows tickets, not SCEP.
//
// The answer depends on (ticket, public key) alone: the same two always give the same certificate, whatever
// was lost, raced or killed before. One transaction decides, binds the key to the ticket and records serial
// and to-be-signed bytes as `pending`; then it is signed and stored by compare-and-set; whoever finds a
// pending row of its own key finishes it. A ticket has never more than one certificate that is not revoked:
// another key takes the place of one that was never seen at /mdm, until the ticket's attempts are used.
// Renewals without a ticket: service/issue_renewal.
//
// The caller has checked that the sender holds the key. Everything in the certificate but the key is ours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "service/ca_keys.hpp"
#include "service/config.hpp"

namespace service {

// Who asks, as far as it ends up in the row.
struct Applicant {
  sys::Key public_key;
  std::string subject_sha256;  // of the subject (DER) that the request has
  std::string transaction_id;
  std::string requester;  // address
};

struct IssueRequest {
  std::string challenge_sha256;
  Applicant applicant;
};

struct Issued {
  sys::Cert cert;
  std::optional<std::int64_t> ticket_id = {};
  std::optional<std::int64_t> enrollment_id = {};
  bool repeated = false;  // it was there before
};

struct IssueRefused {
  std::string reason;  // for log and event
  // Neither: no ticket has this challenge, no certificate of ours signed (and no event tells of it).
  std::optional<std::int64_t> ticket_id = {};
  std::optional<std::int64_t> enrollment_id = {};
};

using IssueOutcome = std::variant<Issued, IssueRefused>;

// Writes the events certificate.issued, certificate.revoked and certificate.refused.
IssueOutcome issue_for_ticket(sys::Db& db, Config const& config, CaKeys& keys, IssueRequest const& request,
                              sys::Time now);

// The template of every identity: subject, URI SAN, usages, dates within the CA's.
sys::CertTemplate identity_template(Config const& config, std::string const& uuid, std::int64_t generation,
                                    sys::Cert const& ca, sys::Time now);

}  // namespace service
