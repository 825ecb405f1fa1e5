#include "store/push_requests.hpp"

namespace store {

namespace {

constexpr char const* kSelect =
    "SELECT id, kind, spki_sha256, subject, csr, secret_id, created_at, created_by FROM push_requests";

PushRequestRow read_row(sys::DbRow const& row) {
  return {row.integer(0), row.text(1), row.text(2), row.text(3),
          row.text(4),    row.text(5), row.time(6), row.text(7)};
}

}  // namespace

std::int64_t insert_push_request(sys::Db& db, PushRequestRow const& row) {
  return static_cast<std::int64_t>(db.insert(
      "INSERT INTO push_requests (kind, spki_sha256, subject, csr, secret_id, created_at, created_by) "
      "VALUES (?, ?, ?, ?, ?, ?, ?)",
      {row.kind, row.spki_sha256, row.subject, row.csr, row.secret_id, row.created_at, row.created_by}));
}

std::optional<PushRequestRow> find_push_request(sys::Db& db, std::string_view spki_sha256) {
  auto const row = db.query_row(std::string(kSelect) + " WHERE spki_sha256 = ?", {spki_sha256});
  if (!row) return std::nullopt;
  return read_row(*row);
}

std::vector<PushRequestRow> list_push_requests(sys::Db& db) {
  std::vector<PushRequestRow> out;
  for (auto const& row : db.query(std::string(kSelect) + " ORDER BY id")) out.push_back(read_row(row));
  return out;
}

void delete_push_request(sys::Db& db, std::int64_t id) {
  db.execute("DELETE FROM push_requests WHERE id = ?", {id});
}

std::map<std::string, PushTopicNote> push_topic_notes(sys::Db& db) {
  std::map<std::string, PushTopicNote> out;
  for (auto const& row : db.query("SELECT topic, apple_id, note FROM push_topics")) {
    out[row.text(0)] = {row.maybe_text(1), row.maybe_text(2)};
  }
  return out;
}

void set_push_topic_note(sys::Db& db, std::string const& topic, PushTopicNote const& note, sys::Time now) {
  if (!note.apple_id && !note.note) return;
  db.execute(
      "INSERT INTO push_topics (topic, apple_id, note, updated_at) VALUES (?, ?, ?, ?) ON DUPLICATE KEY "
      "UPDATE apple_id = COALESCE(VALUES(apple_id), apple_id), note = COALESCE(VALUES(note), note), "
      "updated_at = VALUES(updated_at)",
      {topic, note.apple_id, note.note, now});
}

}  // namespace store
