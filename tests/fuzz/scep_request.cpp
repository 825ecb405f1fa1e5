// Up to three requests to pomona-scep, one after the other, as sys/fcgi hands them on: through query,
// message, envelope, certification request, ticket and database to the signed answer. What is mutated stands
// as deep as an input wants it: as the body, behind a signature that holds, in an envelope to our RA, or as
// name and attributes of a request whose own signature holds. Whatever a sender does is answered 200 or 4xx,
// and the log line holds no challenge. Each input finds the database as tests/rig/fuzz_world.py made it.
#include <string>

#include "handlers/scep.hpp"
#include "proto/scep.hpp"
#include "shared/cms.hpp"
#include "shared/input.hpp"
#include "shared/world.hpp"
#include "sys/cms_scep.hpp"
#include "sys/key_ring.hpp"
#include "sys/text.hpp"

namespace {

using fuzz::demand;

struct Server {
  fuzz::World world{"pomona-scep"};
  sys::KeyRing domain = sys::KeyRing::from_file(world.config().key_dir, "ca");
  handlers::ScepHandler handler{world.config(), domain};
  sys::Cert ca = sys::Cert::from_pem(world.file("ca.pem"));
  sys::Cert ra = sys::Cert::from_pem(world.file("ra.pem"));
  std::vector<std::string> challenges = world.lines("challenges");
  std::vector<fuzz::Identity> senders = world.identities();  // issued by us, then strangers

  Server() {
    handler.prepare();
    for (auto const* name : {"stranger", "other"}) senders.push_back(fuzz::make_identity(name));
  }
};

Server& server() {
  static Server ours;
  return ours;
}

fuzz::Identity const& choose_sender(fuzz::Input& input) {
  auto const& senders = server().senders;
  return senders[input.byte() % senders.size()];
}

// Any name and attributes behind a signature that holds; the challenge of a ticket, of none, or any text.
std::string build_csr(fuzz::Input& input, sys::Key const& key) {
  auto const& known = server().challenges;
  std::size_t const which = input.byte() % (known.size() + 2);
  std::string attributes;
  if (which < known.size()) attributes = fuzz::challenge_attribute(known[which]);
  if (which == known.size()) attributes = fuzz::challenge_attribute(input.text());
  auto const subject = input.text();
  attributes += input.text();
  return fuzz::sign_csr(subject.empty() ? std::string_view("0\0", 2) : subject, attributes, key);
}

// IssuerAndSubject and IssuerAndSerialNumber, of our CA or of any bytes.
std::string build_names(fuzz::Input& input) {
  auto const choices = input.byte();
  std::string names = (choices & 1U) == 0 ? server().ca.subject_der() : std::string(input.text());
  auto const& whose = choose_sender(input).cert;
  if ((choices & 2U) == 0) {
    names += (choices & 4U) == 0 ? whose.subject_der() : std::string(input.text());
  } else {
    names += fuzz::der(0x02, (choices & 4U) == 0 ? whose.serial() : std::string(input.text()));
  }
  return fuzz::der(0x30, names);
}

std::string build_content(fuzz::Input& input, sys::Key const& key) {
  switch (input.byte() % 4) {
    case 0:
      return std::string(input.text());
    case 1:
      return build_names(input);
    default:
      return build_csr(input, key);
  }
}

std::string build_message(fuzz::Input& input) {
  auto const odd = input.byte();  // one bit per thing that is not as clients send it
  auto const& sender = choose_sender(input);
  auto const& key = (odd & 1U) == 0 ? sender.key : choose_sender(input).key;
  fuzz::ScepAttributes attributes;
  attributes.message_type = input.choose<8>({"19", "17", "20", "21", "22", "3", "18", ""});
  if ((odd & 2U) != 0) attributes.transaction_id = input.text();
  if ((odd & 4U) != 0) attributes.sender_nonce = input.text();
  if ((odd & 8U) != 0) attributes.message_type = input.text();
  auto const digest = (odd & 16U) == 0 ? fuzz::Digest::sha256 : fuzz::Digest{input.byte() % 5};
  auto const cipher = (odd & 32U) == 0 ? fuzz::Cipher::aes256 : fuzz::Cipher{input.byte() % 4};
  std::string const content = (odd & 64U) == 0 ? fuzz::envelop(build_content(input, key), server().ra, cipher)
                                               : std::string(input.text());
  auto message = fuzz::sign_scep(content, sender, attributes, digest);
  if ((odd & 128U) != 0) {
    for (unsigned count = input.byte() % 4U; count > 0; --count) {
      std::size_t const at = input.number() % message.size();
      message[at] = static_cast<char>(input.byte());
    }
  }
  return message;
}

sys::Request read_request(fuzz::Input& input) {
  sys::Request request;
  auto& params = request.params;
  params["REMOTE_ADDR"] = "192.0.2.1";
  params["DOCUMENT_URI"] = "/scep";
  params["REQUEST_METHOD"] = "POST";
  params["QUERY_STRING"] = "operation=PKIOperation";
  auto const kind = input.byte();
  if ((kind & 0x80U) != 0) params["HTTPS"] = "on";
  switch (kind % 8U) {
    case 0:
      params["REQUEST_METHOD"] = input.choose<4>({"GET", "HEAD", "POST", "PUT"});
      params["QUERY_STRING"] = input.text();
      request.body = input.text();
      break;
    case 1:
      request.body = input.text();
      break;
    case 2:
      params["REQUEST_METHOD"] = "GET";
      params["QUERY_STRING"] =
          "operation=PKIOperation&message=" + sys::percent_encode(sys::base64(build_message(input)));
      break;
    default:
      request.body = build_message(input);
  }
  return request;
}

// A signed answer is one that we ourselves can read.
void check_reply(sys::Response const& response) {
  if (response.status != 200 || response.content_type != proto::kScepMessageType) return;
  auto reply = sys::ScepMessage::parse(response.body);
  demand(reply.message_type() == "3" && !reply.check(sys::OldAlgorithms::allowed));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  fuzz::Input input(data, size);
  constexpr int kMostRequests = 3;
  for (int count = 0; count < kMostRequests && !input.empty(); ++count) {
    auto const request = read_request(input);
    sys::LogLine line("scep");
    auto const response = server().handler.answer(request, line);
    fuzz::check_answer(response, request.method(), line);
    for (auto const& challenge : server().challenges) fuzz::check_secret(line, challenge);
    check_reply(response);
  }
  server().world.restore();
  return 0;
}
