#include "store/sender.hpp"

#include "sys/error.hpp"

namespace store {

namespace {

constexpr std::string_view kSynced = "SET STATEMENT wsrep_sync_wait=1 FOR ";

// The index is named: with old statistics the optimizer would rather read the whole queue of an enrolment.
// One row always; NULL where a part is missing. The channel is found through the binding of the certificate,
// not through current_id: pending and replaced generations speak too.
constexpr std::string_view kSender =
    "SELECT c.id, c.status, c.ticket_id, c.enrollment_id, c.not_before, c.not_after, c.first_seen_at, "
    "c.retiring_at, b.id, b.uuid, b.device_id, b.generation, b.channel, b.external_id, b.state, b.frozen, "
    "b.auth, "
    "b.topic, b.token_update_tally, e.id, e.state, e.token_update_tally, e.last_seen_at, "
    "p.dead_since IS NOT NULL";
constexpr std::string_view kNext =
    ", EXISTS(SELECT 1 FROM queue w FORCE INDEX (next_command) WHERE w.enrollment_id = e.id AND w.state = "
    "'not-now')"
    ", q.id, m.id, m.uuid, m.request_type, m.kind, m.body, m.renderer, m.parameters";
constexpr std::string_view kFrom =
    " FROM (SELECT 1) one LEFT JOIN certificates_device c ON c.sha256 = ? "
    "LEFT JOIN enrollments b ON b.id = c.enrollment_id "
    "LEFT JOIN enrollments e ON e.external_id = ? AND (e.id = b.id OR e.parent_id = b.id) "
    "LEFT JOIN push_state p ON p.enrollment_id = e.id";
constexpr std::string_view kFromNext =
    " LEFT JOIN queue q ON q.id = (SELECT n.id FROM queue n FORCE INDEX (next_command) WHERE n.enrollment_id "
    "= e.id AND n.state = "
    "'queued' "
    "ORDER BY n.priority, n.enqueued_at, n.id LIMIT 1) "
    "LEFT JOIN commands m ON m.id = q.command_id";

std::string statement(SenderQuery const& query) {
  std::string sql;
  if (query.synced) sql += kSynced;
  sql += kSender;
  if (query.with_next) sql += kNext;
  sql += kFrom;
  if (query.with_next) sql += kFromNext;
  return sql;
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

Sender::ChannelRow read_channel(sys::DbRow const& row) {
  return {row.integer(19), read_enrollment_state(row.text(20)), row.integer(21), row.maybe_time(22),
          row.integer(23) != 0};
}

}  // namespace

Sender find_sender(sys::Db& db, SenderQuery const& query) {
  auto const row = db.query_row(statement(query), {query.certificate_sha256, query.external_id});
  if (!row) throw sys::Error(sys::Fault::internal, "sender: no answer");
  Sender sender;
  if (!row->null(0)) sender.identity = read_identity(*row);
  if (!row->null(8)) sender.device = read_device(*row);
  if (!row->null(19)) sender.channel = read_channel(*row);
  constexpr std::size_t kNotNow = 24;
  if (query.with_next && sender.channel) {
    sender.not_now = row->integer(kNotNow) != 0;
    sender.next = read_next_command(*row, kNotNow + 1);
  }
  return sender;
}

}  // namespace store
