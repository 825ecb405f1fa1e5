// Who is calling: what a request proves, and what the certificate may do.
//
// Trusts nginx for the outcome of the TLS handshake, where the gate let the request through. Only SUCCESS
// counts; FAILED:* proves the key and nothing else: such a certificate must be one that we know, and expired,
// and fetches its renewal only. Without a certificate an Mdm-Signature over the exact body counts, in
// enrolments of that kind only. Sources: data-and-trust.md section 5, Apple's SignMessage.
#pragma once

#include <optional>
#include <string>

#include "proto/checkin_ids.hpp"
#include "service/mdm_context.hpp"
#include "store/sender.hpp"
#include "sys/time.hpp"

namespace service {

struct Presented {
  std::string sha256;                            // of the certificate
  proto::AuthKind proof = proto::AuthKind::tls;  // what proved its key
  std::optional<sys::Time> signing_time = {};
  std::string der = {};       // the certificate
  std::string distrust = {};  // nginx's words where it did not accept it; "" where it did
};

// Throws Error{unauthenticated} or Error{bad_request} when nothing usable was presented.
Presented present(Credentials const& credentials, std::string_view body);

// SHA-256 of the certificate that a request names, with nothing proven yet. Throws as present().
std::string claimed_certificate(Credentials const& credentials);

// A signature that says when it was made must say so truly (within an hour) where a command is handed out.
bool signed_in_time(Presented const& presented, sys::Time now) noexcept;
// TLS, or a signature that says so: whoever recorded the request cannot send it again tomorrow. A signature
// without a time, as Apple's client makes it, is good for its body for ever, on any host.
bool is_fresh(Presented const& presented, sys::Time now) noexcept;

enum class Ruling {
  serve,
  renew_only,  // expired, in grace: fetches its renewal, and what it reports is taken in
  hold_back,   // what it brings is taken in, nothing is handed out
  refuse,
};

struct Verdict {
  Ruling ruling = Ruling::serve;
  std::string reason = {};   // of anything but serve: for log and event
  std::string event = {};    // identity.refused, identity.conflict, or none
  bool freeze = false;       // a replaced generation spoke: the one that took its place is frozen
  bool checked_out = false;  // refused because it said good-bye itself
  bool expired = false;      // in grace: renew_only, or hold_back where it retires
};

// The certificate alone: known, not revoked, accepted by nginx, within its dates or the grace after them.
Verdict judge_identity(store::Sender const& sender, Presented const& presented, Config const& config,
                       sys::Time now);
// The certificate and what it is bound to, for every message but an Authenticate of an unbound one.
Verdict judge_sender(store::Sender const& sender, Presented const& presented, proto::Ids const& ids,
                     Config const& config, sys::Time now);

struct Admission {
  store::Sender::Identity identity;
  store::Sender::DeviceChannel device;                    // what the identity is bound to
  std::optional<store::Sender::ChannelRow> channel = {};  // who speaks; none: a user channel never heard of
  bool not_now = false;
  std::optional<store::NextCommand> next = {};  // with_next only
  Ruling ruling = Ruling::serve;
  std::string reason = {};
  bool expired = false;
  bool first_sight = false;  // an identity issued to renew this enrolment speaks for the first time
};

struct AdmitOptions {
  bool with_next = false;
  bool also_checked_out = false;  // a repeated CheckOut is no offence
  bool also_expired = false;      // the command channel, within the grace
};

// Looks the sender up and judges it; before a refusal once more, behind all writes of other nodes. Records
// the events of a refusal and throws Error{unauthenticated}.
Admission admit(MdmContext& context, Presented const& presented, proto::Ids const& ids,
                AdmitOptions const& options);

// Records what a verdict demands and throws.
[[noreturn]] void refuse(MdmContext& context, Presented const& presented, proto::Ids const& ids,
                         store::Sender const& sender, Verdict const& verdict);
// The topic of a message against that of the enrolment that sends it; refuses.
void check_topic(MdmContext& context, Presented const& presented, proto::Ids const& ids,
                 Admission const& admission, std::string const& topic);

// The renewal is complete: the ticket closes, the older identity retires, renewals never seen are revoked.
// Nothing else changes. Inside a transaction; harmless when done already.
void adopt_renewal(MdmContext& context, Admission const& admission, Presented const& presented);

}  // namespace service
