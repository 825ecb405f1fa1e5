#include "store/commands.hpp"

#include "sys/digest.hpp"
#include "sys/error.hpp"

namespace store {

namespace {

constexpr char const* kColumns =
    "c.id, c.uuid, c.request_type, c.kind, c.renderer, c.created_at, c.created_by";

CommandRow read(sys::DbRow const& row) {
  return {row.integer(0),    row.text(1), row.text(2), row.text(3) == "rendered",
          row.maybe_text(4), row.time(5), row.text(6)};
}

// Of a row of id, hash, head of the sealed body. A command that is rendered at delivery has neither.
bool has_bytes(sys::KeyRing const& message_key, sys::DbRow const& row, std::string_view plist) {
  if (row.null(1) || row.null(2)) return false;
  auto const key = message_key.opening(sys::SealKey::column_key_id(row.text(2)));
  return row.text(1) == command_hash(key, plist);
}

}  // namespace

std::string command_hash(sys::SealKey const& message_key, std::string_view plist) {
  return sys::hmac_sha256(sys::hkdf_sha256(message_key.bytes().view(), "pomona command hash"), plist);
}

std::string command_purpose(std::string_view uuid) { return "command:" + std::string(uuid); }

std::optional<CommandRow> find_command(sys::Db& db, std::string_view uuid) {
  auto const row =
      db.query_row(std::string("SELECT ") + kColumns + " FROM commands c WHERE c.uuid = ?", {uuid});
  if (!row) return std::nullopt;
  return read(*row);
}

std::int64_t keep_command(sys::Db& db, sys::KeyRing const& message_key, proto::Command const& command,
                          std::string_view plist, std::string_view created_by, sys::Time now) {
  // The first bytes of the body name the key that its hash was made with too.
  constexpr char const* kFind = "SELECT id, body_hmac, LEFT(body, 37) FROM commands WHERE uuid = ?";
  auto row = db.query_row(kFind, {command.uuid});
  if (!row) {
    auto const key = message_key.sealing();
    std::string const sealed = key.seal_column(command_purpose(command.uuid), plist);
    db.insert_unless_duplicate(
        "INSERT INTO commands (uuid, request_type, kind, body, body_hmac, created_at, created_by) "
        "VALUES (?, ?, 'stored', ?, ?, ?, ?)",
        {command.uuid, command.request_type, sealed, command_hash(key, plist), now, created_by});
    row = db.query_row(kFind, {command.uuid});
  }
  if (!row) throw sys::Error(sys::Fault::unavailable, "command: another request is just storing this one");
  if (!has_bytes(message_key, *row, plist)) {
    throw sys::Error(sys::Fault::conflict,
                     "command: CommandUUID " + command.uuid +
                         " is taken by another command; give each command a UUID of its own");
  }
  return row->integer(0);
}

std::int64_t insert_rendered(sys::Db& db, RenderedCommand const& command, std::string_view created_by,
                             sys::Time now) {
  return static_cast<std::int64_t>(
      db.insert("INSERT INTO commands (uuid, request_type, kind, renderer, created_at, created_by) "
                "VALUES (?, ?, 'rendered', ?, ?, ?)",
                {command.uuid, command.request_type, command.renderer, now, created_by}));
}

std::string open_command(sys::KeyRing const& message_key, std::string_view uuid, std::string_view sealed) {
  return message_key.open_column(sealed, command_purpose(uuid));
}

std::optional<std::string> command_plist(sys::Db& db, sys::KeyRing const& message_key,
                                         std::string_view uuid) {
  auto const row = db.query_row("SELECT body FROM commands WHERE uuid = ?", {uuid});
  if (!row || row->null(0)) return std::nullopt;
  return open_command(message_key, uuid, row->text(0));
}

std::vector<CommandSummary> list_commands(sys::Db& db, std::int64_t below_id, std::int64_t limit) {
  auto const rows = db.query(std::string("SELECT ") + kColumns +
                                 ", (SELECT COUNT(*) FROM queue q WHERE q.command_id = c.id), "
                                 "(SELECT COUNT(*) FROM results r WHERE r.command_id = c.id AND r.status "
                                 "<> 'cancelled'), "
                                 "(SELECT COUNT(*) FROM results r WHERE r.command_id = c.id AND r.status = "
                                 "'cancelled') "
                                 "FROM commands c WHERE c.id < ? ORDER BY c.id DESC LIMIT ?",
                             {below_id, limit});
  std::vector<CommandSummary> all;
  for (auto const& row : rows) {
    all.push_back({read(row), row.integer(7), row.integer(8), row.integer(9)});
  }
  return all;
}

}  // namespace store
