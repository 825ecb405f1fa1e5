// What a SCEP message is answered with: inside service, called by service/scep alone.
//
// Here the floors and the outer signature have held. The signer proves nothing but that it holds its key;
// each operation says what that is good for. All refusals are an outcome.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "proto/scep.hpp"
#include "service/ca_keys.hpp"
#include "service/config.hpp"
#include "store/certificates.hpp"
#include "sys/bytes.hpp"
#include "sys/key_floor.hpp"

namespace service {

struct ScepRefusal {
  proto::FailInfo info;
  std::string reason;  // for the log
  std::optional<std::int64_t> ticket_id = {};
  std::optional<std::int64_t> enrollment_id = {};
};

struct ScepGiven {
  sys::Cert cert;
  char const* outcome;  // issued, repeated, given
  std::optional<std::int64_t> ticket_id = {};
  std::optional<std::int64_t> enrollment_id = {};
};

using ScepOutcome = std::variant<ScepGiven, ScepRefusal>;

struct ScepContext {
  sys::Db& db;
  Config const& config;
  CaKeys& keys;
  std::string const& requester;
  sys::OldAlgorithms old;
  sys::Time now;
};

struct ScepSender {
  sys::Cert signer;
  std::string transaction_id;
};

// A certification request whose floors and own signature held.
struct ScepAsked {
  sys::Key key;
  std::string subject_sha256;  // of its subject (DER)
  sys::SecretBytes challenge;  // empty: none
};

// PKCSReq: by the challenge of a ticket. Renewal too where a certificate of ours signed: that is how
// certmonger and sscep renew.
ScepOutcome enrol(ScepContext const& context, ScepSender const& sender, ScepAsked const& asked);
// RenewalReq: by the signer's certificate.
ScepOutcome renew(ScepContext const& context, ScepSender const& sender, ScepAsked const& asked);

// CertPoll and GetCert. A stranger may sign an envelope that somebody else made and that he changed: whether
// it could be decrypted and read must show neither in the answer nor in the time that it takes, or he learns
// what is in it, a challenge perhaps. So what the signer may get at all is looked up first, and then there is
// one answer, badCertId, for everything that is none of it, unreadable content (nullopt) included.
using ScepCandidates = std::vector<store::CertificateRow>;

// We never answer PENDING, so there is nothing to wait for; but whose reply was lost may ask for the
// certificate again: with the key, the transactionID and the names of the request.
ScepCandidates poll_candidates(ScepContext const& context, ScepSender const& sender);
ScepOutcome poll(ScepCandidates const& candidates, std::optional<std::string_view> content);

// The holder of an identity of ours gets the certificates of its key and its enrolment, and the CA's.
ScepCandidates get_cert_candidates(ScepContext const& context, ScepSender const& sender);
ScepOutcome get_cert(ScepCandidates const& candidates, std::optional<std::string_view> content);

}  // namespace service
