#include "store/enrollments.hpp"

#include <array>
#include <utility>

#include "sys/error.hpp"

namespace store {

namespace {

constexpr std::array<std::pair<EnrollmentState, std::string_view>, 6> kStates{{
    {EnrollmentState::pending, "pending"},
    {EnrollmentState::current, "current"},
    {EnrollmentState::replaced, "replaced"},
    {EnrollmentState::checked_out, "checked-out"},
    {EnrollmentState::disabled, "disabled"},
    {EnrollmentState::rejected, "rejected"},
}};

constexpr char const* kColumns =
    "e.id, e.uuid, e.device_id, e.generation, e.parent_id, e.channel, e.external_id, e.state, e.frozen, "
    "e.auth, "
    "e.topic, e.push_magic, e.push_token, e.user_short_name, e.user_long_name, e.awaiting_configuration, "
    "e.profile_id, e.token_update_tally, e.created_at, e.token_updated_at, e.last_seen_at, e.ended_at";
constexpr std::size_t kColumnCount = 22;

Enrollment read(sys::DbRow const& row) {
  Enrollment e;
  e.id = row.integer(0);
  e.uuid = row.text(1);
  e.device_id = row.integer(2);
  e.generation = row.integer(3);
  e.parent_id = row.maybe_integer(4);
  e.channel = proto::parse_channel(row.text(5)).value_or(proto::Channel::device);
  e.external_id = row.text(6);
  e.state = read_enrollment_state(row.text(7));
  e.frozen = row.integer(8) != 0;
  e.auth = proto::parse_auth(row.text(9)).value_or(proto::AuthKind::tls);
  e.topic = row.text(10);
  e.push_magic = row.maybe_text(11);
  e.push_token = row.maybe_text(12);
  e.user_short_name = row.maybe_text(13);
  e.user_long_name = row.maybe_text(14);
  e.awaiting_configuration = row.integer(15) != 0;
  e.profile_id = row.maybe_integer(16);
  e.token_update_tally = row.integer(17);
  e.created_at = row.time(18);
  e.token_updated_at = row.maybe_time(19);
  e.last_seen_at = row.maybe_time(20);
  e.ended_at = row.maybe_time(21);
  return e;
}

std::optional<Enrollment> read_first(std::optional<sys::DbRow> const& row) {
  if (!row) return std::nullopt;
  return read(*row);
}

std::vector<Enrollment> read_all(sys::DbRows const& rows) {
  std::vector<Enrollment> all;
  all.reserve(rows.size());
  for (auto const& row : rows) all.push_back(read(row));
  return all;
}

std::string select(std::string const& where, Lock lock = Lock::none) {
  return std::string("SELECT ") + kColumns + " FROM enrollments e WHERE " + where +
         (lock == Lock::update ? " FOR UPDATE" : "");
}

}  // namespace

std::string_view enrollment_state_name(EnrollmentState state) noexcept {
  for (auto const& [value, name] : kStates) {
    if (value == state) return name;
  }
  return "disabled";
}

EnrollmentState read_enrollment_state(std::string_view text) {
  for (auto const& [value, name] : kStates) {
    if (name == text) return value;
  }
  throw sys::Error(sys::Fault::internal, "enrollments: unknown state " + std::string(text));
}

std::int64_t insert_enrollment(sys::Db& db, Enrollment const& row) {
  std::optional<std::string> current;
  if (row.state == EnrollmentState::current) current = row.external_id;
  return static_cast<std::int64_t>(db.insert(
      "INSERT INTO enrollments (uuid, device_id, generation, parent_id, channel, external_id, current_id, "
      "state, "
      "auth, topic, user_short_name, user_long_name, profile_id, created_at, last_seen_at) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {row.uuid, row.device_id, row.generation, row.parent_id, proto::channel_name(row.channel),
       row.external_id, current, enrollment_state_name(row.state), proto::auth_name(row.auth), row.topic,
       row.user_short_name, row.user_long_name, row.profile_id, row.created_at, row.created_at}));
}

std::optional<Enrollment> find_enrollment(sys::Db& db, std::int64_t id, Lock lock) {
  return read_first(db.query_row(select("id = ?", lock), {id}));
}

std::optional<Enrollment> find_current(sys::Db& db, std::string_view external_id, Lock lock) {
  return read_first(db.query_row(select("current_id = ?", lock), {external_id}));
}

std::optional<Enrollment> find_standing(sys::Db& db, std::int64_t device_id) {
  return read_first(
      db.query_row(select("device_id = ? AND parent_id IS NULL AND state IN ('current', 'disabled') "
                          "ORDER BY state = 'current' DESC, generation DESC LIMIT 1"),
                   {device_id}));
}

std::optional<Enrollment> find_user_channel(sys::Db& db, std::int64_t parent_id, std::string_view external_id,
                                            Lock lock) {
  return read_first(
      db.query_row(select("external_id = ? AND parent_id = ?", lock), {external_id, parent_id}));
}

std::vector<Enrollment> generations_of(sys::Db& db, std::int64_t device_id) {
  return read_all(
      db.query(select("device_id = ? AND parent_id IS NULL ORDER BY generation DESC"), {device_id}));
}

std::vector<Enrollment> channels_of(sys::Db& db, std::int64_t device_channel_id) {
  return read_all(db.query(select("parent_id = ? ORDER BY external_id"), {device_channel_id}));
}

std::optional<Enrollment> find_enrollment_by_uuid(sys::Db& db, std::string_view uuid) {
  return read_first(db.query_row(select("uuid = ?"), {uuid}));
}

std::vector<Enrollment> enrollments_with_id(sys::Db& db, std::string_view external_id) {
  return read_all(db.query(select("external_id = ? ORDER BY generation DESC, id DESC"), {external_id}));
}

std::vector<EnrollmentSummary> list_enrollments(sys::Db& db, EnrollmentFilter const& filter) {
  std::string where = "e.id > ?";
  sys::DbParams params{filter.above_id};
  if (filter.state) {
    where += " AND e.state = ?";
    params.emplace_back(enrollment_state_name(*filter.state));
  }
  params.emplace_back(filter.limit);
  auto const rows = db.query(std::string("SELECT ") + kColumns +
                                 ", d.serial_number, d.device_name, d.product_name, d.os_version, "
                                 "(SELECT COUNT(*) FROM queue q WHERE q.enrollment_id = e.id) "
                                 "FROM enrollments e JOIN devices d ON d.id = e.device_id WHERE " +
                                 where + " ORDER BY e.id LIMIT ?",
                             params);
  std::vector<EnrollmentSummary> all;
  all.reserve(rows.size());
  for (auto const& row : rows) {
    all.push_back({read(row), row.maybe_text(kColumnCount), row.maybe_text(kColumnCount + 1),
                   row.maybe_text(kColumnCount + 2), row.maybe_text(kColumnCount + 3),
                   row.integer(kColumnCount + 4)});
  }
  return all;
}

std::int64_t next_generation(sys::Db& db, std::int64_t device_id) {
  auto const row = db.query_row(
      "SELECT COALESCE(MAX(generation), 0) + 1 FROM enrollments WHERE device_id = ?", {device_id});
  return row ? row->integer(0) : 1;
}

void close_enrollment(sys::Db& db, std::int64_t device_channel_id, EnrollmentState state, sys::Time now) {
  db.execute(
      "UPDATE enrollments SET state = ?, current_id = NULL, ended_at = ? "
      "WHERE (id = ? OR parent_id = ?) AND state IN ('pending', 'current')",
      {enrollment_state_name(state), now, device_channel_id, device_channel_id});
}

void make_current(sys::Db& db, std::int64_t device_channel_id, EnrollmentState from) {
  db.execute(
      "UPDATE enrollments SET state = 'current', current_id = external_id, frozen = FALSE, ended_at = NULL "
      "WHERE (id = ? OR parent_id = ?) AND state = ?",
      {device_channel_id, device_channel_id, enrollment_state_name(from)});
}

void close_user_channel(sys::Db& db, std::int64_t id, sys::Time now) {
  db.execute("UPDATE enrollments SET state = 'checked-out', current_id = NULL, ended_at = ? WHERE id = ?",
             {now, id});
}

void reopen_user_channel(sys::Db& db, std::int64_t id) {
  db.execute(
      "UPDATE enrollments SET state = 'current', current_id = external_id, ended_at = NULL WHERE id = ?",
      {id});
}

bool set_frozen(sys::Db& db, std::int64_t device_channel_id, bool frozen) {
  return db.execute("UPDATE enrollments SET frozen = ? WHERE id = ? AND frozen <> ?",
                    {frozen, device_channel_id, frozen}) == 1;
}

void update_tokens(sys::Db& db, std::int64_t id, PushAddress const& address, proto::Ids const& ids,
                   sys::Time now) {
  db.execute(
      "UPDATE enrollments SET push_token = ?, push_magic = ?, awaiting_configuration = ?, "
      "user_short_name = COALESCE(?, user_short_name), user_long_name = COALESCE(?, user_long_name), "
      "token_update_tally = token_update_tally + 1, token_updated_at = ?, last_seen_at = ? WHERE id = ?",
      {address.token, address.push_magic, address.awaiting_configuration, ids.user_short_name,
       ids.user_long_name, now, now, id});
}

void mark_enrollment_seen(sys::Db& db, std::int64_t id, sys::Time now) {
  db.execute("UPDATE enrollments SET last_seen_at = ? WHERE id = ?", {now, id});
}

std::optional<std::int64_t> profile_of_ticket(sys::Db& db, std::int64_t ticket_id) {
  auto const row = db.query_row("SELECT id FROM profiles WHERE ticket_id = ?", {ticket_id});
  if (!row) return std::nullopt;
  return row->integer(0);
}

}  // namespace store
