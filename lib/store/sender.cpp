#include "store/sender.hpp"

#include "sys/error.hpp"

namespace store {

namespace {

constexpr std::string_view kSynced = "SET STATEMENT wsrep_sync_wait=1 FOR ";

// The channel is found through the binding of the certificate, not through current_id: pending and replaced
// generations speak too. No row: no such certificate; NULL where another part is missing.
//
// Every table up to the queue is one row by a unique key, which the optimizer reads before it plans, and the
// queue is only asked whether something waits: sub-queries and a search for the channel cost four times as
// much. The index is named: with old statistics the optimizer would rather read the whole queue.
constexpr std::string_view kColumns =
    "SELECT c.id, c.status, c.ticket_id, c.enrollment_id, c.not_before, c.not_after, c.first_seen_at, "
    "c.retiring_at, b.id, b.uuid, b.device_id, b.generation, b.channel, b.external_id, b.state, b.frozen, "
    "b.auth, b.topic, b.token_update_tally, p.dead_since IS NOT NULL";
constexpr std::string_view kWaiting = ", w.id IS NOT NULL, q.id IS NOT NULL";
constexpr std::string_view kFrom =
    " FROM certificates_device c LEFT JOIN enrollments b ON b.id = c.enrollment_id";

// The same for the channel that speaks, where `e` is that channel's row: on the device channel, the device's.
struct Shape {
  std::string_view columns;
  std::string_view join;
  std::string_view push;
  std::string_view queue;
};
constexpr Shape kDeviceShape{
    ", b.id, b.state, b.token_update_tally, b.last_seen_at", "",
    " LEFT JOIN push_state p ON p.enrollment_id = b.id",
    " LEFT JOIN queue q FORCE INDEX (next_command) ON q.enrollment_id = b.id AND q.state = 'queued' "
    "LEFT JOIN queue w FORCE INDEX (next_command) ON w.enrollment_id = b.id AND w.state = 'not-now'"};
constexpr Shape kUserShape{
    ", e.id, e.state, e.token_update_tally, e.last_seen_at",
    " LEFT JOIN enrollments e ON e.external_id = ? AND e.parent_id = b.id",
    " LEFT JOIN push_state p ON p.enrollment_id = e.id",
    " LEFT JOIN queue q FORCE INDEX (next_command) ON q.enrollment_id = e.id AND q.state = 'queued' "
    "LEFT JOIN queue w FORCE INDEX (next_command) ON w.enrollment_id = e.id AND w.state = 'not-now'"};

std::string statement(SenderQuery const& query) {
  Shape const& shape = query.user_channel ? kUserShape : kDeviceShape;
  std::string sql;
  if (query.synced) sql += kSynced;
  sql.append(kColumns).append(shape.columns);
  if (query.with_next) sql += kWaiting;
  sql.append(kFrom).append(shape.join).append(shape.push);
  if (query.with_next) sql += shape.queue;
  return sql += " WHERE c.sha256 = ? LIMIT 1";
}

CertStatus read_status(std::string_view text) {
  for (auto const status : {CertStatus::pending, CertStatus::issued, CertStatus::retiring,
                            CertStatus::retired, CertStatus::revoked}) {
    if (cert_status_name(status) == text) return status;
  }
  throw sys::Error(sys::Fault::internal, "sender: an identity has the status " + std::string(text));
}

Sender::Identity read_identity(sys::DbRow const& row) {
  return {row.integer(0), read_status(row.text(1)), row.maybe_integer(2), row.maybe_integer(3), row.time(4),
          row.time(5),    row.maybe_time(6),        row.maybe_time(7)};
}

Sender::DeviceChannel read_device(sys::DbRow const& row) {
  Sender::DeviceChannel device;
  device.id = row.integer(8);
  device.uuid = row.text(9);
  device.device_id = row.integer(10);
  device.generation = row.integer(11);
  device.channel = proto::parse_channel(row.text(12)).value_or(proto::Channel::device);
  device.external_id = row.text(13);
  device.state = read_enrollment_state(row.text(14));
  device.frozen = row.integer(15) != 0;
  device.auth = proto::parse_auth(row.text(16)).value_or(proto::AuthKind::tls);
  device.topic = row.text(17);
  device.token_update_tally = row.integer(18);
  return device;
}

constexpr std::size_t kChannel = 20;
constexpr std::size_t kNotNow = kChannel + 4;

Sender::ChannelRow read_channel(sys::DbRow const& row) {
  return {row.integer(kChannel), read_enrollment_state(row.text(kChannel + 1)), row.integer(kChannel + 2),
          row.maybe_time(kChannel + 3), row.integer(kChannel - 1) != 0};
}

sys::DbParams params_of(SenderQuery const& query) {
  if (query.user_channel) return {query.external_id, query.certificate_sha256};
  return {query.certificate_sha256};
}

}  // namespace

Sender find_sender(sys::Db& db, SenderQuery const& query) {
  auto const row = db.query_row(statement(query), params_of(query));
  Sender sender;
  if (!row) return sender;
  sender.identity = read_identity(*row);
  if (!row->null(8)) sender.device = read_device(*row);
  bool const known = query.user_channel ? !row->null(kChannel)
                                        : sender.device && sender.device->external_id == query.external_id;
  if (known) sender.channel = read_channel(*row);
  if (query.with_next && sender.channel) {
    sender.not_now = row->integer(kNotNow) != 0;
    if (row->integer(kNotNow + 1) != 0) sender.next = next_command(db, sender.channel->id);
  }
  return sender;
}

}  // namespace store
