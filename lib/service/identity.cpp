#include "service/identity.hpp"

#include "sys/cms.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"
#include "sys/x509.hpp"

namespace service {

namespace {

using store::CertStatus;
using store::EnrollmentState;
using sys::Error;
using sys::Fault;

constexpr std::size_t kLongestCertificate = 32U << 10U;  // escaped PEM
constexpr std::size_t kLongestSignature = 32U << 10U;    // base64
constexpr sys::seconds kClockSkew{3600};

Presented from_tls(std::string_view escaped) {
  auto const pem = escaped.size() <= kLongestCertificate ? sys::percent_decode(escaped) : std::nullopt;
  if (!pem) throw Error(Fault::bad_request, "identity: the certificate that nginx passed is not readable");
  // Its bytes say which of ours it is. Reading more would cost more than all the rest of a poll.
  auto der = sys::certificate_bytes(*pem);
  return {sys::sha256(der), proto::AuthKind::tls, std::nullopt, std::move(der), {}};
}

std::string read_signature(std::string_view header) {
  if (header.empty())
    throw Error(Fault::unauthenticated, "identity: neither a client certificate nor an Mdm-Signature");
  auto cms = header.size() <= kLongestSignature ? sys::unbase64(header) : std::nullopt;
  if (!cms) throw Error(Fault::bad_request, "identity: Mdm-Signature is not base64 of at most 32 KiB");
  return *std::move(cms);
}

Presented from_signature(std::string_view header, std::string_view body) {
  auto const verified = sys::verify_detached(read_signature(header), body);
  return {
      verified.signer.sha256(), proto::AuthKind::signature, verified.signing_time, verified.signer.der(), {}};
}

Verdict refusal(std::string reason, std::string event = {}) {
  Verdict verdict;
  verdict.ruling = Ruling::refuse;
  verdict.reason = std::move(reason);
  verdict.event = std::move(event);
  return verdict;
}

Verdict offence(std::string reason) { return refusal(std::move(reason), "identity.refused"); }

Verdict hold_back(std::string reason) {
  Verdict verdict;
  verdict.ruling = Ruling::hold_back;
  verdict.reason = std::move(reason);
  return verdict;
}

Verdict judge_state(store::Sender::DeviceChannel const& device) {
  Verdict verdict;
  switch (device.state) {
    case EnrollmentState::current:
      return device.frozen ? hold_back("frozen until the identity conflict is resolved") : Verdict{};
    case EnrollmentState::pending:
      return hold_back("waits for approval");
    case EnrollmentState::replaced:
      verdict = refusal("identity of a generation that was replaced", "identity.conflict");
      verdict.freeze = true;
      return verdict;
    case EnrollmentState::checked_out:
      verdict = refusal("the enrolment was checked out");
      verdict.checked_out = true;
      return verdict;
    case EnrollmentState::disabled:
      return refusal("the enrolment is disabled");
    case EnrollmentState::rejected:
      return refusal("the enrolment was rejected");
  }
  return refusal("the enrolment is in no known state");
}

// An expired identity is let in where the handshake proved its key: by a signature nobody says when it was
// made, and by whom it has been recorded since.
Verdict judge_dates(store::Sender::Identity const& identity, Presented const& presented, sys::seconds grace,
                    sys::Time now) {
  if (now < identity.not_before) return refusal("certificate outside of its dates");
  if (now <= identity.not_after) {
    if (presented.distrust.empty()) return {};
    return refusal("nginx did not accept the certificate: " + presented.distrust);
  }
  if (presented.proof != proto::AuthKind::tls)
    return refusal("certificate outside of its dates; grace is for TLS only");
  if (now > identity.not_after + grace) return refusal("certificate outside of its dates; its grace is over");
  Verdict verdict;
  verdict.ruling = Ruling::renew_only;
  verdict.reason = "expired identity, in grace until " + sys::iso_time(identity.not_after + grace);
  verdict.expired = true;
  return verdict;
}

}  // namespace

Presented present(Credentials const& credentials, std::string_view body) {
  if (credentials.verify == "SUCCESS") return from_tls(credentials.certificate);
  if (credentials.verify.starts_with("FAILED")) {
    // The handshake proved the key, not who issued the certificate: whether we know it decides.
    constexpr std::size_t kLongestReason = 100;
    Presented presented = from_tls(credentials.certificate);
    presented.distrust = sys::escape_controls(credentials.verify.substr(0, kLongestReason));
    return presented;
  }
  return from_signature(credentials.signature, body);
}

std::string claimed_certificate(Credentials const& credentials) {
  if (credentials.verify == "SUCCESS" || credentials.verify.starts_with("FAILED"))
    return from_tls(credentials.certificate).sha256;
  return sys::claimed_signer(read_signature(credentials.signature)).sha256();
}

bool signed_in_time(Presented const& presented, sys::Time now) noexcept {
  if (!presented.signing_time) return true;
  auto const skew =
      now > *presented.signing_time ? now - *presented.signing_time : *presented.signing_time - now;
  return skew <= kClockSkew;
}

bool is_fresh(Presented const& presented, sys::Time now) noexcept {
  return presented.proof == proto::AuthKind::tls ||
         (presented.signing_time && signed_in_time(presented, now));
}

Verdict judge_identity(store::Sender const& sender, Presented const& presented, Config const& config,
                       sys::Time now) {
  if (!sender.identity) return refusal("unknown certificate");
  auto const& identity = *sender.identity;
  if (identity.status == CertStatus::revoked) return offence("revoked certificate");
  if (identity.status == CertStatus::pending) return refusal("certificate that was never handed out");
  bool const over = identity.status == CertStatus::retired ||
                    (identity.status == CertStatus::retiring && identity.retiring_at &&
                     now > *identity.retiring_at + config.identity_overlap);
  if (over) return refusal("certificate that a renewal has replaced", "identity.conflict");
  Verdict verdict = judge_dates(identity, presented, config.identity_grace, now);
  if (verdict.ruling != Ruling::refuse && identity.status == CertStatus::retiring) {
    verdict.ruling = Ruling::hold_back;
    verdict.reason = "a newer certificate was seen";
  }
  return verdict;
}

Verdict judge_sender(store::Sender const& sender, Presented const& presented, proto::Ids const& ids,
                     Config const& config, sys::Time now) {
  Verdict verdict = judge_identity(sender, presented, config, now);
  if (verdict.ruling == Ruling::refuse) return verdict;
  if (!sender.device) return offence("certificate that is bound to no enrolment; Authenticate comes first");
  auto const& device = *sender.device;
  if (device.external_id != ids.device || device.channel != ids.device_channel())
    return offence("certificate of another enrolment");
  if (device.auth == proto::AuthKind::tls && presented.proof != proto::AuthKind::tls)
    return offence("Mdm-Signature in an enrolment that is identified by TLS");
  Verdict const state = judge_state(device);
  // What an expired identity is let in for is one thing only; everywhere else it is what it was: expired.
  if (verdict.expired && (device.auth != proto::AuthKind::tls || state.ruling != Ruling::serve))
    return refusal("expired certificate of an enrolment that has no grace");
  return state.ruling == Ruling::serve ? verdict : state;
}

}  // namespace service
