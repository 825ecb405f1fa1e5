#include "service/scep.hpp"

#include <variant>

#include "service/issue.hpp"
#include "sys/cms_scep.hpp"
#include "sys/csr.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using proto::FailInfo;
using sys::Error;
using sys::Fault;
using sys::OldAlgorithms;

struct Refusal {
  FailInfo info;
  std::string reason;
  std::optional<std::int64_t> ticket_id = {};
};

// What a message asks for, with the proofs checked.
struct Asked {
  sys::Cert signer;
  sys::ScepCipher cipher;
  sys::Key key;
  sys::SecretBytes challenge;
  bool sha1 = false;  // the request's own signature
};

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

Refusal refusal_of(sys::ScepProblem const& problem) {
  auto const info = problem.fault == sys::ScepFault::weak ? FailInfo::bad_alg : FailInfo::bad_message_check;
  return {info, problem.reason};
}

// The signature first: whether a request that somebody else encrypted, and a stranger changed, could be read
// must not show in the answer, and only its own signature proves that it was not changed.
std::variant<Asked, Refusal> read_csr(sys::ScepContent const& content, OldAlgorithms old) {
  try {
    auto const csr = sys::Csr::from_der(content.plain.view());
    if (!csr.verify())
      return Refusal{FailInfo::bad_message_check,
                     "the certification request's own signature does not verify"};
    if (auto const weak = csr.weakness(old)) return Refusal{FailInfo::bad_alg, *weak};
    // Whoever repeats another's envelope under a signature of its own gets nothing for it.
    if (!csr.public_key().same_public_key(content.signer.public_key()))
      return Refusal{FailInfo::bad_request, "the message is signed with another key than the request's"};
    auto challenge = csr.challenge();
    if (challenge.empty()) return Refusal{FailInfo::bad_request, "no challengePassword"};
    return Asked{content.signer, content.cipher, csr.public_key(), std::move(challenge),
                 csr.is_signed_with_sha1()};
  } catch (Error const& error) {
    if (error.fault() != Fault::bad_request) throw;
    return Refusal{FailInfo::bad_message_check, error.what()};
  }
}

std::variant<Asked, Refusal> read_request(sys::Db& db, CaKeys& keys, sys::ScepMessage& message,
                                          OldAlgorithms old, sys::Time now) {
  if (message.sender_nonce().size() != proto::kScepNonceBytes)
    return Refusal{FailInfo::bad_request, "senderNonce is not 16 bytes"};
  if (auto const problem = message.check(old)) return refusal_of(*problem);
  if (proto::parse_scep_message_type(message.message_type()) != proto::ScepMessageType::pkcs_req)
    return Refusal{
        FailInfo::bad_request,
        "message type " + sys::escape_controls(message.message_type().substr(0, 20)) + " is not supported"};
  auto ours = recipients(keys.active(db, now));
  if (!message.is_for(ours)) ours = recipients(keys.active_again(db, now));
  auto const opened = message.open(ours);
  if (auto const* problem = std::get_if<sys::ScepProblem>(&opened)) return refusal_of(*problem);
  return read_csr(std::get<sys::ScepContent>(opened), old);
}

sys::ScepReply reply_to(sys::ScepMessage const& message, CaKey const& ra) {
  return {ra.cert, ra.key, message.transaction_id(), message.sender_nonce(), message.digest()};
}

ScepAnswer refuse(sys::ScepReply const& reply, Refusal const& refusal) {
  ScepAnswer answer{
      proto::kScepMessageType,
      sys::scep_failure(reply, proto::fail_info_digit(refusal.info), proto::fail_info_text(refusal.info)),
      "refused"};
  answer.reason = refusal.reason;
  answer.fail_info = proto::fail_info_name(refusal.info);
  answer.ticket_id = refusal.ticket_id;
  return answer;
}

ScepAnswer answer_asked(sys::Db& db, Config const& config, CaKeys& keys, sys::ScepReply const& reply,
                        Asked const& asked, std::string const& requester, sys::Time now) {
  IssueRequest const request{sys::sha256(asked.challenge.view()), asked.key, reply.transaction_id, requester};
  auto const outcome = issue_for_ticket(db, config, keys, request, now);
  if (auto const* refused = std::get_if<IssueRefused>(&outcome))
    return refuse(reply, {FailInfo::bad_request, refused->reason, refused->ticket_id});
  auto const& issued = std::get<Issued>(outcome);
  ScepAnswer answer{proto::kScepMessageType,
                    sys::scep_success(reply, issued.cert, asked.signer, asked.cipher),
                    issued.repeated ? "repeated" : "issued"};
  answer.ticket_id = issued.ticket_id;
  answer.cert = issued.cert;
  return answer;
}

ScepAnswer pki_operation(sys::Db& db, Config const& config, CaKeys& keys, std::string_view bytes,
                         ScepPeer const& peer, sys::Time now) {
  constexpr std::size_t kLongestNonce = 64;
  auto message = sys::ScepMessage::parse(bytes);
  if (!proto::is_transaction_id(message.transaction_id()) || message.sender_nonce().size() > kLongestNonce)
    throw Error(Fault::bad_request,
                "SCEP message: transactionID or senderNonce of no form that can be echoed");
  auto const asked = read_request(db, keys, message, old_algorithms(config, peer), now);
  auto const reply = reply_to(message, keys.active(db, now).ra);
  auto const* refusal = std::get_if<Refusal>(&asked);
  ScepAnswer answer = refusal != nullptr
                          ? refuse(reply, *refusal)
                          : answer_asked(db, config, keys, reply, std::get<Asked>(asked), peer.address, now);
  answer.transaction_id = message.transaction_id();
  answer.old_algorithms = message.old_algorithms();
  if (refusal == nullptr && std::get<Asked>(asked).sha1)
    answer.old_algorithms += answer.old_algorithms.empty() ? "SHA1-request" : " SHA1-request";
  return answer;
}

}  // namespace

ScepAnswer answer_scep(sys::Db& db, Config const& config, CaKeys& keys, proto::ScepHttpRequest const& request,
                       ScepPeer const& peer, sys::Time now) {
  switch (request.operation) {
    case proto::ScepOperation::get_ca_caps:
      return {proto::kScepCapsType,
              proto::scep_capabilities(
                  {.old_algorithms = old_algorithms(config, peer) == OldAlgorithms::allowed}),
              "caps"};
    case proto::ScepOperation::get_ca_cert: {
      auto const& active = keys.active(db, now);
      if (active.one_certificate()) return {proto::kScepCaType, active.ca.cert.der(), "cacert"};
      return {proto::kScepCaRaType, sys::certs_only({active.ra.cert, active.ca.cert}), "cacert"};
    }
    case proto::ScepOperation::pki_operation:
      break;
  }
  return pki_operation(db, config, keys, request.message, peer, now);
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
