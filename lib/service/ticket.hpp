// Making tickets: the secret in the URL, the challenge derived from it, and what the ticket allows.
//
// The secret and the challenge leave this code once, in MintedTicket, for the one who asked; the database
// gets their hashes. Errors: Error{not_found} with the next step when there is no push certificate or CA to
// enrol with; Error{conflict} when the choice is ambiguous.
#pragma once

#include <optional>
#include <string>

#include "service/config.hpp"
#include "store/enrollments.hpp"
#include "store/tickets.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

struct TicketWish {
  std::int64_t uses = 1;  // above 1 each download of the profile mints a child ticket
  std::optional<std::string> serial = {};
  std::optional<std::string> udid = {};
  std::optional<std::string> for_enrollment = {};  // id of a current enrolment: re-enrols that device
  std::optional<std::string> topic = {};           // that of the only active push certificate where unset
  AuthKind auth = AuthKind::tls;
  std::optional<sys::seconds> lifetime = {};  // ticket-lifetime where unset
  std::string created_by = {};
};

struct MintedTicket {
  store::Ticket ticket;
  std::string secret;
  std::string url;
  std::optional<std::string> challenge;  // none where each download has its own
  std::string scep_url;
};

MintedTicket new_ticket(sys::Db& db, Config const& config, TicketWish const& wish, sys::Time now);

// A ticket that no URL names, and its challenge: open enrolment, or a child of a ticket for several devices.
struct NamelessTicket {
  store::Ticket ticket;
  std::string challenge;
};
NamelessTicket mint_open_ticket(sys::Db& db, Config const& config, sys::Time now);
NamelessTicket mint_child_ticket(sys::Db& db, Config const& config, store::Ticket const& parent,
                                 sys::Time now);

// For the renewal of an enrolment, good for a day at most. While nothing was issued under the one that was
// given last, it is given again with the same challenge, which is derived from `key` and not stored: so a
// message of the device that somebody sends again takes nothing from it. Otherwise that one closes, and a new
// one takes its place; `fresh` of the result. Inside a transaction that holds the enrolment's row.
struct RenewalTicket {
  store::Ticket ticket;
  std::string challenge;
  bool fresh = false;
};
RenewalTicket mint_renewal_ticket(sys::Db& db, Config const& config, sys::KeyRing const& key,
                                  store::Enrollment const& enrollment, sys::Time now);

// False when it is not open. Error{not_found} for a number that was never given. Children are revoked with
// it.
bool revoke_ticket(sys::Db& db, std::int64_t number, std::string const& who, sys::Time now);

// Why nothing can be enrolled with this ticket any more; nullptr while it is good.
char const* ticket_obstacle(store::Ticket const& ticket, sys::Time now) noexcept;

// The wished topic if an active push certificate has it, else that of the only one.
std::string choose_topic(sys::Db& db, std::optional<std::string> const& wished, sys::Time now);

}  // namespace service
