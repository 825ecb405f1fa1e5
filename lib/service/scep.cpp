#include "service/scep.hpp"

#include <variant>

#include "service/scep_operations.hpp"
#include "sys/cms_scep.hpp"
#include "sys/crash_point.hpp"
#include "sys/csr.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using proto::FailInfo;
using proto::ScepMessageType;
using sys::Error;
using sys::Fault;
using sys::OldAlgorithms;

OldAlgorithms old_algorithms(Config const& config, ScepPeer const& peer) {
  bool const allowed =
      config.scep_allow_des == AllowDes::yes || (config.scep_allow_des == AllowDes::tls && peer.tls);
  return allowed ? OldAlgorithms::allowed : OldAlgorithms::refused;
}

std::vector<sys::ScepRecipient> recipients(CaKeys::Active const& active) {
  std::vector<sys::ScepRecipient> ours{{active.ra.cert, active.ra.key}};
  if (!active.one_certificate() && active.ca.key.is_rsa()) ours.push_back({active.ca.cert, active.ca.key});
  return ours;
}

ScepRefusal refusal_of(sys::ScepProblem const& problem) {
  auto const info = problem.fault == sys::ScepFault::weak ? FailInfo::bad_alg : FailInfo::bad_message_check;
  return {info, problem.reason};
}

// What is no operation of this server.
std::optional<ScepRefusal> refuse_type(std::string const& text) {
  auto const type = proto::parse_scep_message_type(text);
  if (type == ScepMessageType::get_crl)
    return ScepRefusal{FailInfo::bad_request, "GetCRL: this CA makes no CRLs"};
  if (type && type != ScepMessageType::cert_rep) return std::nullopt;
  return ScepRefusal{FailInfo::bad_request,
                     "message type " + sys::escape_controls(text.substr(0, 20)) + " is not supported"};
}

// All that can be refused before anything is decrypted or looked up.
std::optional<ScepRefusal> refuse_outside(ScepContext const& context, sys::ScepMessage& message) {
  if (message.sender_nonce().size() != proto::kScepNonceBytes)
    return ScepRefusal{FailInfo::bad_request, "senderNonce is not 16 bytes"};
  if (auto const problem = message.check(context.old)) return refusal_of(*problem);
  return refuse_type(message.message_type());
}

std::variant<sys::ScepContent, sys::ScepProblem> open_message(ScepContext const& context,
                                                              sys::ScepMessage const& message) {
  auto ours = recipients(context.keys.active(context.db, context.now));
  if (!message.is_for(ours)) ours = recipients(context.keys.active_again(context.db, context.now));
  return message.open(ours);
}

sys::ScepReply reply_to(sys::ScepMessage const& message, CaKey const& ra) {
  return {ra.cert, ra.key, message.transaction_id(), message.sender_nonce(), message.digest()};
}

ScepAnswer refuse(sys::ScepReply const& reply, ScepRefusal const& refusal) {
  ScepAnswer answer{
      proto::kScepMessageType,
      sys::scep_failure(reply, proto::fail_info_digit(refusal.info), proto::fail_info_text(refusal.info)),
      "refused"};
  answer.reason = refusal.reason;
  answer.fail_info = proto::fail_info_name(refusal.info);
  answer.ticket_id = refusal.ticket_id;
  answer.enrollment_id = refusal.enrollment_id;
  return answer;
}

ScepAnswer give(sys::ScepReply const& reply, sys::ScepContent const& content, ScepGiven const& given) {
  ScepAnswer answer{proto::kScepMessageType,
                    sys::scep_success(reply, given.cert, content.signer, content.cipher), given.outcome};
  answer.ticket_id = given.ticket_id;
  answer.enrollment_id = given.enrollment_id;
  answer.cert = given.cert;
  return answer;
}

// The signature first: whether a request that somebody else encrypted, and a stranger changed, could be read
// must not show in the answer, and only its own signature proves that it was not changed.
ScepOutcome answer_csr(ScepContext const& context, ScepSender const& sender, ScepMessageType type,
                       sys::Csr const& csr) {
  if (!csr.verify())
    return ScepRefusal{FailInfo::bad_message_check,
                       "the certification request's own signature does not verify"};
  if (auto const weak = csr.weakness(context.old)) return ScepRefusal{FailInfo::bad_alg, *weak};
  ScepAsked const asked{csr.public_key(), sys::sha256(csr.subject_der()), csr.challenge()};
  return type == ScepMessageType::renewal_req ? renew(context, sender, asked) : enrol(context, sender, asked);
}

struct Answered {
  ScepOutcome outcome;
  bool sha1_request = false;  // the certification request is signed with it where that is allowed
};

Answered answer_request(ScepContext const& context, ScepSender const& sender, ScepMessageType type,
                        std::string_view content) {
  try {
    auto const csr = sys::Csr::from_der(content);
    auto outcome = answer_csr(context, sender, type, csr);
    return {std::move(outcome), context.old == OldAlgorithms::allowed && csr.is_signed_with_sha1()};
  } catch (Error const& error) {
    if (error.fault() != Fault::bad_request) throw;
    return {ScepRefusal{FailInfo::bad_message_check, error.what()}};
  }
}

ScepAnswer answer_lookup(ScepContext const& context, ScepSender const& sender, sys::ScepReply const& reply,
                         sys::ScepMessage const& message, bool polls) {
  auto const candidates = polls ? poll_candidates(context, sender) : get_cert_candidates(context, sender);
  auto const opened = open_message(context, message);
  auto const* content = std::get_if<sys::ScepContent>(&opened);
  std::optional<std::string_view> plain;
  if (content != nullptr) plain = content->plain.view();
  auto const outcome = polls ? poll(candidates, plain) : get_cert(candidates, plain);
  auto const* given = std::get_if<ScepGiven>(&outcome);
  if (content == nullptr || given == nullptr) return refuse(reply, std::get<ScepRefusal>(outcome));
  return give(reply, *content, *given);
}

ScepAnswer answer_message(ScepContext const& context, sys::ScepMessage& message) {
  auto const refusal = refuse_outside(context, message);
  auto const reply = reply_to(message, context.keys.active(context.db, context.now).ra);
  if (refusal) return refuse(reply, *refusal);
  auto const type =
      proto::parse_scep_message_type(message.message_type()).value_or(ScepMessageType::pkcs_req);
  ScepSender const sender{message.signer(), message.transaction_id()};
  bool const polls = type == ScepMessageType::cert_poll;
  if (polls || type == ScepMessageType::get_cert)
    return answer_lookup(context, sender, reply, message, polls);
  auto const opened = open_message(context, message);
  if (auto const* problem = std::get_if<sys::ScepProblem>(&opened))
    return refuse(reply, refusal_of(*problem));
  auto const& content = std::get<sys::ScepContent>(opened);
  sys::crash_point("scep-opened");
  auto const answered = answer_request(context, sender, type, content.plain.view());
  auto const* refused = std::get_if<ScepRefusal>(&answered.outcome);
  auto answer = refused != nullptr ? refuse(reply, *refused)
                                   : give(reply, content, std::get<ScepGiven>(answered.outcome));
  sys::crash_point("scep-reply-built");
  if (answered.sha1_request) answer.old_algorithms = "SHA1-request";
  return answer;
}

ScepAnswer pki_operation(ScepContext const& context, std::string_view bytes) {
  constexpr std::size_t kLongestNonce = 64;
  auto message = sys::ScepMessage::parse(bytes);
  if (!proto::is_transaction_id(message.transaction_id()) || message.sender_nonce().size() > kLongestNonce)
    throw Error(Fault::bad_request,
                "SCEP message: transactionID or senderNonce of no form that can be echoed");
  auto answer = answer_message(context, message);
  answer.transaction_id = message.transaction_id();
  answer.message_type = message.message_type().substr(0, 20);
  bool const both = !message.old_algorithms().empty() && !answer.old_algorithms.empty();
  answer.old_algorithms = message.old_algorithms() + (both ? " " : "") + answer.old_algorithms;
  return answer;
}

}  // namespace

ScepAnswer answer_scep(sys::Db& db, Config const& config, CaKeys& keys, proto::ScepHttpRequest const& request,
                       ScepPeer const& peer, sys::Time now) {
  auto const old = old_algorithms(config, peer);
  switch (request.operation) {
    case proto::ScepOperation::get_ca_caps:
      return {proto::kScepCapsType,
              proto::scep_capabilities(
                  {.old_algorithms = old == OldAlgorithms::allowed, .renewal = config.scep_renewal}),
              "caps"};
    case proto::ScepOperation::get_ca_cert: {
      auto const& active = keys.active(db, now);
      if (active.one_certificate()) return {proto::kScepCaType, active.ca.cert.der(), "cacert"};
      return {proto::kScepCaRaType, sys::certs_only({active.ra.cert, active.ca.cert}), "cacert"};
    }
    case proto::ScepOperation::pki_operation:
      break;
  }
  return pki_operation({db, config, keys, peer.address, old, now}, request.message);
}

void warm_up_scep(sys::Db& db, CaKeys& keys, sys::Time now) {
  auto const& active = keys.active(db, now);
  sys::ScepReply const reply{active.ra.cert, active.ra.key, "warm-up",
                             std::string(proto::kScepNonceBytes, 'x')};
  // A reply to ourselves is a message to ourselves.
  auto message = sys::ScepMessage::parse(
      sys::scep_success(reply, active.ca.cert, active.ra.cert, sys::ScepCipher::aes256));
  bool const held =
      !message.check() && std::holds_alternative<sys::ScepContent>(message.open(recipients(active)));
  if (!held) throw Error(Fault::internal, "warm up: the RA key does not open what was encrypted to it");
}

}  // namespace service
