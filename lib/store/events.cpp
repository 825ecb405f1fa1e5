#include "store/events.hpp"

#include "sys/text.hpp"

namespace store {

namespace {

// Cut where a character begins, and without anything that is no UTF-8: details may quote what a device sent.
std::string printable(std::string text) {
  constexpr std::size_t kLongest = 2000;
  text = text.substr(0, kLongest);
  while (!text.empty() && !sys::is_utf8(text)) text.pop_back();
  return sys::escape_controls(text);
}

}  // namespace

std::vector<TimedEvent> list_events(sys::Db& db, std::string_view what, std::int64_t limit) {
  std::vector<TimedEvent> out;
  for (auto const& row : db.query(
           "SELECT at, who, detail FROM events WHERE what = ? ORDER BY id DESC LIMIT ?", {what, limit})) {
    out.push_back({row.time(0), row.text(1), row.text(2)});
  }
  return out;
}

void record_event(sys::Db& db, Event const& event, sys::Time now) {
  db.execute(
      "INSERT INTO events (at, what, who, external_id, enrollment_id, serial_number, certificate_sha256, "
      "command_uuid, ticket_id, detail) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {now, event.what, event.who, event.external_id, event.enrollment_id, event.serial_number,
       event.certificate_sha256, event.command_uuid, event.ticket_id, printable(event.detail)});
}

}  // namespace store
