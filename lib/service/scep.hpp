// One SCEP request (RFC 8894): who asks is a stranger until the challenge in the request names a ticket.
//
// Trusts the challenge, and for renewals the key of an identity that is in use, and both only after
// algorithms, outer signature, decryption and the request's own signature held. What cannot be decrypted,
// read or verified gets one and the same answer. Error{bad_request}: no SCEP request, or none that a signed
// answer could be given to. Error{unavailable}: no database or no CA yet. Everything else is an answer, a
// refusal too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proto/scep.hpp"
#include "service/ca_keys.hpp"
#include "service/config.hpp"

namespace service {

struct ScepAnswer {
  std::string content_type;
  std::string body;

  // For the log line.
  std::string outcome;              // caps, cacert, issued, repeated, given, refused
  std::string reason = {};          // of a refusal, for the admin only
  std::string fail_info = {};       // badAlg, ...
  std::string transaction_id = {};  // as sent
  std::string message_type = {};    // as sent, its beginning
  std::string old_algorithms = {};  // that scep-allow-des let pass
  std::optional<std::int64_t> ticket_id = {};
  std::optional<std::int64_t> enrollment_id = {};
  std::optional<sys::Cert> cert = {};
};

// Where a request came from, as the web server says.
struct ScepPeer {
  std::string address;
  bool tls = false;
};

ScepAnswer answer_scep(sys::Db& db, Config const& config, CaKeys& keys, proto::ScepHttpRequest const& request,
                       ScepPeer const& peer, sys::Time now);

// Opens the keys and runs every algorithm once: the first operation of a process takes milliseconds.
// Error{unavailable} without a CA.
void warm_up_scep(sys::Db& db, CaKeys& keys, sys::Time now);

}  // namespace service
