#include "service/ticket.hpp"

#include "proto/ticket.hpp"
#include "store/certificates.hpp"
#include "store/enrollments.hpp"
#include "store/events.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::Ticket;
using sys::Error;
using sys::Fault;

constexpr sys::seconds kOpenLifetime = std::chrono::hours(1);
constexpr sys::seconds kRenewalLifetime = std::chrono::hours(24);
// One that ends sooner is not given again: the device needs some time to use it.
constexpr sys::seconds kRenewalRest = std::chrono::hours(1);

std::int64_t current_enrollment(sys::Db& db, std::string const& external_id) {
  auto const found = store::find_current(db, external_id);
  if (!found) {
    throw Error(Fault::not_found, "no device is enrolled under the id " + external_id +
                                      "; `pomona enrollment list` shows those that are. A device that was "
                                      "never enrolled is bound by --udid or --serial");
  }
  if (found->parent_id)
    throw Error(Fault::conflict,
                external_id + " is a user channel; a ticket is for the device it belongs to");
  return found->id;
}

void require_ca(sys::Db& db) {
  if (store::active_ca(db)) return;
  throw Error(Fault::not_found, "no CA that could issue identities; run `pomona ca init` first");
}

Ticket blank(Config const& config, sys::Time now) {
  Ticket ticket;
  ticket.uuid = sys::random_uuid();
  ticket.attempts_left = config.ticket_attempts;
  ticket.created_at = now;
  return ticket;
}

Ticket wished_ticket(sys::Db& db, Config const& config, TicketWish const& wish, sys::Time now) {
  Ticket ticket = blank(config, now);
  ticket.auth = wish.auth;
  ticket.topic = choose_topic(db, wish.topic, now);
  ticket.bind_udid = wish.udid;
  ticket.bind_serial = wish.serial;
  if (wish.for_enrollment) ticket.enrollment_id = current_enrollment(db, *wish.for_enrollment);
  ticket.uses = wish.uses;
  ticket.uses_left = wish.uses;
  ticket.expires_at = now + wish.lifetime.value_or(config.ticket_lifetime);
  ticket.created_by = wish.created_by;
  return ticket;
}

std::string describe(Ticket const& ticket) {
  std::string text = "good until " + sys::iso_time(ticket.expires_at);
  if (ticket.uses > 1) text += ", for " + std::to_string(ticket.uses) + " devices";
  if (ticket.bind_udid) text += ", for UDID " + *ticket.bind_udid;
  if (ticket.bind_serial) text += ", for serial number " + *ticket.bind_serial;
  return text;
}

NamelessTicket insert_nameless(sys::Db& db, Ticket ticket, std::string const& challenge) {
  ticket.challenge_sha256 = sys::sha256(challenge);
  ticket.id = store::insert_ticket(db, ticket);
  return {std::move(ticket), challenge};
}

std::string renewal_challenge(sys::SealKey const& key, std::string const& ticket_uuid) {
  auto const own = sys::hkdf_sha256(key.bytes().view(), "pomona renewal challenge");
  return proto::ticket_challenge(sys::hmac_sha256(own, ticket_uuid));
}

// What the ticket was handed out with; nullopt when none of the keys made it. Tried with each: a profile that
// is on its way to a device stays good while the keys are rotated.
std::optional<std::string> challenge_of(sys::KeyRing const& keys, Ticket const& ticket) {
  for (auto const& key : keys.all()) {
    auto challenge = renewal_challenge(key, ticket.uuid);
    if (sys::sha256(challenge) == ticket.challenge_sha256) return challenge;
  }
  return std::nullopt;
}

}  // namespace

std::string choose_topic(sys::Db& db, std::optional<std::string> const& wished, sys::Time now) {
  auto const all = store::list_certificates(db, store::CertView::published,
                                            {.kind = "push", .status = store::CertStatus::active});
  std::vector<std::string> topics;
  for (auto const& row : all) {
    if (!row.topic) continue;
    if (wished && *row.topic == *wished) return *wished;
    if (row.not_after > now) topics.push_back(*row.topic);
  }
  if (wished) {
    throw Error(Fault::not_found, "no active push certificate has the topic " + *wished +
                                      "; `pomona push-cert list` shows those that there are");
  }
  if (topics.empty()) {
    throw Error(Fault::not_found,
                all.empty() ? "no push certificate, so no device could be reached; import one with `pomona "
                              "push-cert import`"
                            : "every push certificate has expired, so no device could be reached; renew "
                              "it and import it with `pomona push-cert import`");
  }
  if (topics.size() > 1) {
    std::string names;
    for (auto const& topic : topics) names += ' ' + topic;
    throw Error(Fault::conflict, "there are several push certificates; choose one with --topic:" + names);
  }
  return topics.front();
}

MintedTicket new_ticket(sys::Db& db, Config const& config, TicketWish const& wish, sys::Time now) {
  return db.transaction([&] {
    require_ca(db);
    MintedTicket minted{wished_ticket(db, config, wish, now), proto::new_ticket_secret(), "", std::nullopt,
                        config.scep_url};
    minted.url = config.server_url + "/enroll/" + minted.secret;
    // With several uses only children enrol; the parent's own challenge is one that nobody knows.
    std::string const challenge =
        proto::ticket_challenge(wish.uses > 1 ? proto::new_ticket_secret() : minted.secret);
    if (wish.uses == 1) minted.challenge = challenge;
    minted.ticket.secret_sha256 = sys::sha256(minted.secret);
    minted.ticket.challenge_sha256 = sys::sha256(challenge);
    minted.ticket.id = store::insert_ticket(db, minted.ticket);
    store::record_event(db,
                        {.what = "ticket.new",
                         .who = wish.created_by,
                         .enrollment_id = minted.ticket.enrollment_id,
                         .serial_number = wish.serial,
                         .ticket_id = minted.ticket.id,
                         .detail = describe(minted.ticket)},
                        now);
    return minted;
  });
}

NamelessTicket mint_open_ticket(sys::Db& db, Config const& config, sys::Time now) {
  Ticket ticket = blank(config, now);
  ticket.purpose = store::TicketPurpose::open;
  ticket.auth = config.open_enrollment_auth;
  ticket.topic = choose_topic(db, std::nullopt, now);
  ticket.expires_at = now + kOpenLifetime;
  ticket.created_by = "open enrolment";
  return insert_nameless(db, std::move(ticket), proto::ticket_challenge(proto::new_ticket_secret()));
}

NamelessTicket mint_child_ticket(sys::Db& db, Config const& config, Ticket const& parent, sys::Time now) {
  Ticket ticket = blank(config, now);
  ticket.parent_id = parent.id;
  ticket.purpose = parent.purpose;
  ticket.auth = parent.auth;
  ticket.topic = parent.topic;
  ticket.bind_udid = parent.bind_udid;
  ticket.bind_serial = parent.bind_serial;
  ticket.enrollment_id = parent.enrollment_id;
  ticket.expires_at = parent.expires_at;
  ticket.created_by = parent.created_by;
  return insert_nameless(db, std::move(ticket), proto::ticket_challenge(proto::new_ticket_secret()));
}

RenewalTicket mint_renewal_ticket(sys::Db& db, Config const& config, sys::KeyRing const& key,
                                  store::Enrollment const& enrollment, sys::Time now) {
  store::TicketFilter open;
  open.state = store::TicketState::open;
  open.purpose = store::TicketPurpose::renew;
  open.enrollment_id = enrollment.id;
  open.limit = 1;
  auto const last = store::list_tickets(db, open);
  if (!last.empty() && last.front().expires_at > now + kRenewalRest) {
    auto const& ticket = last.front();
    auto challenge = challenge_of(key, ticket);
    bool const unused =
        store::list_certificates(db, store::CertView::device, {.ticket_id = ticket.id, .limit = 1}).empty();
    if (unused && challenge) return {ticket, std::move(*challenge), false};
  }
  store::close_renewal_tickets(db, enrollment.id);
  Ticket ticket = blank(config, now);
  ticket.purpose = store::TicketPurpose::renew;
  ticket.auth = enrollment.auth;
  ticket.topic = enrollment.topic;
  ticket.enrollment_id = enrollment.id;
  ticket.expires_at = now + kRenewalLifetime;
  ticket.created_by = "renewal";
  auto const challenge = renewal_challenge(key.sealing(), ticket.uuid);
  auto minted = insert_nameless(db, std::move(ticket), challenge);
  return {std::move(minted.ticket), std::move(minted.challenge), true};
}

bool revoke_ticket(sys::Db& db, std::int64_t number, std::string const& who, sys::Time now) {
  return db.transaction([&] {
    if (!store::find_ticket(db, number, store::Lock::update)) {
      throw Error(Fault::not_found,
                  "there is no ticket " + std::to_string(number) + "; `pomona ticket list` shows them");
    }
    bool const revoked = store::revoke_ticket(db, number, now);
    if (!revoked) return false;
    auto const certificates = store::revoke_unseen_of_ticket(db, number, "ticket-revoked", now);
    std::string const detail =
        certificates == 0 ? "" : std::to_string(certificates) + " certificates revoked that were never used";
    store::record_event(db, {.what = "ticket.revoked", .who = who, .ticket_id = number, .detail = detail},
                        now);
    return revoked;
  });
}

char const* ticket_obstacle(Ticket const& ticket, sys::Time now) noexcept {
  if (ticket.state == store::TicketState::revoked) return "revoked";
  if (ticket.state == store::TicketState::closed) return "used";
  if (ticket.expires_at <= now) return "expired";
  if (ticket.uses > 1 && ticket.uses_left == 0) return "used-up";
  return nullptr;
}

}  // namespace service
