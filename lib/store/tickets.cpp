#include "store/tickets.hpp"

#include <array>

#include "sys/error.hpp"

namespace store {

namespace {

constexpr std::array<std::string_view, 3> kPurposes{"enroll", "open", "renew"};
constexpr std::array<std::string_view, 3> kStates{"open", "revoked", "closed"};
constexpr std::array<std::string_view, 2> kIdentities{"scep", "pkcs12"};

constexpr std::string_view kSelect =
    "SELECT id, uuid, secret_sha256, challenge_sha256, parent_id, purpose, state, auth, identity, topic, "
    "bind_udid, bind_serial, enrollment_id, uses, uses_left, attempts_left, expires_at, created_at, "
    "created_by, revoked_at FROM tickets ";

template <typename Enum, std::size_t Count>
Enum read_enum(std::array<std::string_view, Count> const& names, std::string_view text) {
  for (std::size_t i = 0; i < Count; ++i) {
    if (names[i] == text) return static_cast<Enum>(i);
  }
  throw sys::Error(sys::Fault::internal, "ticket: unknown value " + std::string(text));
}

Ticket read_ticket(sys::DbRow const& row) {
  Ticket ticket;
  ticket.id = row.integer(0);
  ticket.uuid = row.text(1);
  ticket.secret_sha256 = row.maybe_text(2);
  ticket.challenge_sha256 = row.text(3);
  ticket.parent_id = row.maybe_integer(4);
  ticket.purpose = read_enum<TicketPurpose>(kPurposes, row.text(5));
  ticket.state = read_enum<TicketState>(kStates, row.text(6));
  ticket.auth = proto::parse_auth(row.text(7)).value_or(proto::AuthKind::tls);
  ticket.identity = read_enum<TicketIdentity>(kIdentities, row.text(8));
  ticket.topic = row.text(9);
  ticket.bind_udid = row.maybe_text(10);
  ticket.bind_serial = row.maybe_text(11);
  ticket.enrollment_id = row.maybe_integer(12);
  ticket.uses = row.integer(13);
  ticket.uses_left = row.integer(14);
  ticket.attempts_left = row.integer(15);
  ticket.expires_at = row.time(16);
  ticket.created_at = row.time(17);
  ticket.created_by = row.text(18);
  ticket.revoked_at = row.maybe_time(19);
  return ticket;
}

std::optional<Ticket> find_one(sys::Db& db, std::string const& where, sys::DbValue const& value, Lock lock) {
  auto const row =
      db.query_row(std::string(kSelect) + where + (lock == Lock::update ? " FOR UPDATE" : ""), {value});
  if (!row) return std::nullopt;
  return read_ticket(*row);
}

}  // namespace

std::string_view ticket_purpose_name(TicketPurpose purpose) noexcept {
  return kPurposes[static_cast<std::size_t>(purpose)];
}
std::string_view ticket_state_name(TicketState state) noexcept {
  return kStates[static_cast<std::size_t>(state)];
}
std::string_view ticket_identity_name(TicketIdentity identity) noexcept {
  return kIdentities[static_cast<std::size_t>(identity)];
}

std::int64_t insert_ticket(sys::Db& db, Ticket const& ticket) {
  return static_cast<std::int64_t>(db.insert(
      "INSERT INTO tickets (uuid, secret_sha256, challenge_sha256, parent_id, purpose, auth, identity, "
      "topic, "
      "bind_udid, bind_serial, enrollment_id, uses, uses_left, attempts_left, expires_at, created_at, "
      "created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {ticket.uuid, ticket.secret_sha256, ticket.challenge_sha256, ticket.parent_id,
       ticket_purpose_name(ticket.purpose), proto::auth_name(ticket.auth),
       ticket_identity_name(ticket.identity), ticket.topic, ticket.bind_udid, ticket.bind_serial,
       ticket.enrollment_id, ticket.uses, ticket.uses_left, ticket.attempts_left, ticket.expires_at,
       ticket.created_at, ticket.created_by}));
}

std::optional<Ticket> find_ticket(sys::Db& db, std::int64_t id, Lock lock) {
  return find_one(db, "WHERE id = ?", id, lock);
}

std::optional<Ticket> find_ticket_by_secret(sys::Db& db, std::string_view secret_sha256, Lock lock) {
  return find_one(db, "WHERE secret_sha256 = ?", secret_sha256, lock);
}

std::optional<Ticket> find_ticket_by_challenge(sys::Db& db, std::string_view challenge_sha256, Lock lock) {
  return find_one(db, "WHERE challenge_sha256 = ?", challenge_sha256, lock);
}

std::vector<Ticket> list_tickets(sys::Db& db, TicketFilter const& filter) {
  std::string where = "WHERE id < ?";
  sys::DbParams params{filter.below_id};
  if (filter.state) {
    where += " AND state = ?";
    params.emplace_back(ticket_state_name(*filter.state));
  }
  if (filter.purpose) {
    where += " AND purpose = ?";
    params.emplace_back(ticket_purpose_name(*filter.purpose));
  }
  if (filter.enrollment_id) {
    where += " AND enrollment_id = ?";
    params.emplace_back(*filter.enrollment_id);
  }
  params.emplace_back(filter.limit);
  std::vector<Ticket> tickets;
  for (auto const& row : db.query(std::string(kSelect) + where + " ORDER BY id DESC LIMIT ?", params))
    tickets.push_back(read_ticket(row));
  return tickets;
}

bool revoke_ticket(sys::Db& db, std::int64_t id, sys::Time now) {
  bool const revoked =
      db.execute("UPDATE tickets SET state = 'revoked', revoked_at = ? WHERE id = ? AND state = 'open'",
                 {now, id}) == 1;
  db.execute("UPDATE tickets SET state = 'revoked', revoked_at = ? WHERE parent_id = ? AND state = 'open'",
             {now, id});
  return revoked;
}

bool close_ticket(sys::Db& db, std::int64_t id) {
  return db.execute("UPDATE tickets SET state = 'closed' WHERE id = ? AND state = 'open'", {id}) == 1;
}

std::uint64_t close_renewal_tickets(sys::Db& db, std::int64_t enrollment_id) {
  return db.execute(
      "UPDATE tickets SET state = 'closed' WHERE enrollment_id = ? AND purpose = 'renew' AND state = 'open'",
      {enrollment_id});
}

bool take_ticket_use(sys::Db& db, std::int64_t id) {
  return db.execute("UPDATE tickets SET uses_left = uses_left - 1 WHERE id = ? AND uses_left > 0", {id}) == 1;
}

bool take_ticket_attempt(sys::Db& db, std::int64_t id) {
  return db.execute("UPDATE tickets SET attempts_left = attempts_left - 1 WHERE id = ? AND attempts_left > 0",
                    {id}) == 1;
}

}  // namespace store
