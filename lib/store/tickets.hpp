// Tickets: permission to enrol or to renew. A row has only SHA-256 of the secret and of the challenge
// (proto/ticket.hpp), so neither can be told from a dump.
//
// Who decides whether a ticket is good for something is the caller; these functions only read and write.
// Error{conflict} for a challenge that is there already.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/auth.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

enum class TicketPurpose { enroll, open, renew };
enum class TicketState { open, revoked, closed };
enum class TicketIdentity { scep, pkcs12 };

std::string_view ticket_purpose_name(TicketPurpose purpose) noexcept;
std::string_view ticket_state_name(TicketState state) noexcept;
std::string_view ticket_identity_name(TicketIdentity identity) noexcept;

struct Ticket {
  std::int64_t id = 0;                            // the public number; given by insert_ticket
  std::string uuid = {};                          // upper case; in the URI SAN while no enrolment exists
  std::optional<std::string> secret_sha256 = {};  // none where no URL names the ticket
  std::string challenge_sha256 = {};
  std::optional<std::int64_t> parent_id = {};  // minted from this --uses N ticket
  TicketPurpose purpose = TicketPurpose::enroll;
  TicketState state = TicketState::open;
  proto::AuthKind auth = proto::AuthKind::tls;
  TicketIdentity identity = TicketIdentity::scep;
  std::string topic = {};
  std::optional<std::string> bind_udid = {};
  std::optional<std::string> bind_serial = {};
  std::optional<std::int64_t> enrollment_id = {};  // --for, or what a renewal renews
  std::int64_t uses = 1;
  std::int64_t uses_left = 1;  // children still to be minted where uses > 1
  std::int64_t attempts_left =
      0;  // keys that may still be tried, the first included: ticket-attempts at first
  sys::Time expires_at = {};
  sys::Time created_at = {};
  std::string created_by = {};
  std::optional<sys::Time> revoked_at = {};
};

enum class Lock { none, update };

// `id`, `state` and `revoked_at` of the struct are not looked at: a new ticket is open. Returns its number.
std::int64_t insert_ticket(sys::Db& db, Ticket const& ticket);

std::optional<Ticket> find_ticket(sys::Db& db, std::int64_t id, Lock lock = Lock::none);
std::optional<Ticket> find_ticket_by_secret(sys::Db& db, std::string_view secret_sha256,
                                            Lock lock = Lock::none);
std::optional<Ticket> find_ticket_by_challenge(sys::Db& db, std::string_view challenge_sha256,
                                               Lock lock = Lock::none);

struct TicketFilter {
  std::optional<TicketState> state = {};
  std::optional<TicketPurpose> purpose = {};
  std::optional<std::int64_t> enrollment_id = {};
  std::int64_t below_id = INT64_MAX;  // the cursor of a page
  std::int64_t limit = 1000;
};
std::vector<Ticket> list_tickets(sys::Db& db, TicketFilter const& filter);  // newest first

// open -> revoked, children included; false when it was not open.
bool revoke_ticket(sys::Db& db, std::int64_t id, sys::Time now);
// open -> closed: its certificate was seen at /mdm, or the renewal settled. False when it was not open.
bool close_ticket(sys::Db& db, std::int64_t id);
// Every open renewal ticket of the enrolment -> closed (a new generation came). Returns how many.
std::uint64_t close_renewal_tickets(sys::Db& db, std::int64_t enrollment_id);

// One child or one key less; false when none was left. Both write the row, so that two nodes of a cluster
// cannot both take the last one.
bool take_ticket_use(sys::Db& db, std::int64_t id);
bool take_ticket_attempt(sys::Db& db, std::int64_t id);

}  // namespace store
