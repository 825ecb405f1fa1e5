#include "store/reseal.hpp"

#include "store/commands.hpp"
#include "store/messages.hpp"
#include "store/results.hpp"
#include "sys/error.hpp"

namespace store {

namespace {

// Rows that one transaction replaces: few, so that nobody waits long for one of them.
constexpr std::int64_t kBatch = 50;
constexpr std::int64_t kBatchBytes = 8LL << 20;
// Ids that one statement looks through, so that none takes long.
constexpr std::int64_t kWindow = 20'000;

using sys::DbValue;
using sys::SealKey;

std::string in_table(SealedTable table) { return ' ' + std::string(sealed_table_name(table)) + ' '; }

// The lowest id above `after`; none: the end.
std::optional<std::int64_t> first_after(sys::Db& db, SealedTable table, DbValue const& after) {
  auto const row = db.query_row("SELECT MIN(id) FROM" + in_table(table) + "WHERE id > ?", {after});
  return row ? row->maybe_integer(0) : std::nullopt;
}

void count_secrets(sys::Db& db, std::string const& domain, std::map<std::string, std::int64_t>& counts) {
  for (auto const& row :
       db.query("SELECT key_id, COUNT(*) FROM secrets WHERE domain = ? GROUP BY key_id", {domain})) {
    counts[row.text(0)] += row.integer(1);
  }
}

void count_columns(sys::Db& db, SealedTable table, std::map<std::string, std::int64_t>& counts) {
  std::int64_t after = 0;
  while (auto const first = first_after(db, table, after)) {
    after = *first + kWindow;
    for (auto const& row :
         db.query("SELECT IF(LENGTH(body) < 37, '', SUBSTRING(body, 2, 8)) k, COUNT(*) FROM" +
                      in_table(table) + "WHERE id BETWEEN ? AND ? AND body IS NOT NULL GROUP BY k",
                  {*first, after})) {
      counts[row.text(0)] += row.integer(1);
    }
  }
}

// Rows of id and size. `next` and `last` hold when all of them fit into the batch.
ResealPiece piece_of(SealedTable table, sys::DbRows const& rows, DbValue next, bool last) {
  ResealPiece piece{{}, std::move(next), last};
  std::int64_t bytes = 0;
  for (auto const& row : rows) {
    bool const number = table != SealedTable::secrets;
    piece.ids.push_back(number ? DbValue(row.integer(0)) : DbValue(row.text(0)));
    bytes += row.integer(1);
    if (piece.ids.size() < static_cast<std::size_t>(kBatch) && bytes < kBatchBytes) continue;
    piece.next = piece.ids.back();
    piece.last = false;
    break;
  }
  return piece;
}

struct Opened {
  std::optional<SealKey> key;
  std::optional<sys::SecretBytes> plain;
};

// `open` gets the key that the finder knows.
template <typename Open>
Opened open_with(KeyFinder const& find, std::string_view key_id, Open const& open) {
  Opened opened{find(key_id), std::nullopt};
  if (!opened.key) return opened;
  try {
    opened.plain.emplace(open(*opened.key));
  } catch (sys::Error const& error) {
    if (error.fault() != sys::Fault::internal) throw;
  }
  return opened;
}

Resealed not_opened(Opened const& opened) { return opened.key ? Resealed::damaged : Resealed::no_key; }

Resealed reseal_secret(sys::Db& db, DbValue const& id, SealKey const& key, KeyFinder const& find) {
  auto const row = db.query_row(
      "SELECT id, purpose, key_id, nonce, body FROM secrets WHERE id = ? AND domain = ?", {id, key.domain()});
  if (!row || row->text(2) == key.key_id()) return Resealed::elsewhere;
  auto const opened = open_with(find, row->text(2), [&](SealKey const& old) {
    return old.open({row->text(0), row->text(3), row->text(4)}, row->text(1));
  });
  if (!opened.plain) return not_opened(opened);
  auto const sealed = key.seal_as(row->text(0), row->text(1), opened.plain->view());
  return db.execute(
             "UPDATE secrets SET key_id = ?, nonce = ?, body = ? WHERE id = ? AND key_id = ? AND nonce = ?",
             {key.key_id(), sealed.nonce, sealed.body, id, row->text(2), row->text(3)}) > 0
             ? Resealed::moved
             : Resealed::elsewhere;
}

struct Column {
  std::string purpose;
  std::string body;
};

std::optional<Column> read_column(sys::Db& db, SealedTable table, DbValue const& id) {
  if (table == SealedTable::commands) {
    auto const row = db.query_row("SELECT uuid, body FROM commands WHERE id = ? AND body IS NOT NULL", {id});
    if (row) return Column{command_purpose(row->text(0)), row->text(1)};
  } else if (table == SealedTable::results) {
    auto const row = db.query_row(
        "SELECT enrollment_id, command_uuid, body FROM results WHERE id = ? AND body IS NOT NULL", {id});
    if (row) return Column{result_purpose(row->integer(0), row->text(1)), row->text(2)};
  } else {
    auto const row = db.query_row("SELECT enrollment_id, type, body FROM messages WHERE id = ?", {id});
    if (row) return Column{message_purpose(row->integer(0), row->text(1)), row->text(2)};
  }
  return std::nullopt;
}

Resealed reseal_column(sys::Db& db, SealedTable table, DbValue const& id, SealKey const& key,
                       KeyFinder const& find) {
  auto const column = read_column(db, table, id);
  if (!column || SealKey::column_key_id(column->body) == key.key_id()) return Resealed::elsewhere;
  auto const opened = open_with(find, SealKey::column_key_id(column->body), [&](SealKey const& old) {
    return sys::SecretBytes(old.open_column(column->body, column->purpose));
  });
  if (!opened.plain) return not_opened(opened);
  auto const sealed = key.seal_column(column->purpose, opened.plain->view());
  auto const head = column->body.substr(0, SealKey::kColumnHead);
  std::string const where = " WHERE id = ? AND LEFT(body, 37) = ?";
  auto const replaced =
      table == SealedTable::commands
          ? db.execute("UPDATE commands SET body = ?, body_hmac = ?" + where,
                       {sealed, command_hash(key, opened.plain->view()), id, head})
          : db.execute("UPDATE" + in_table(table) + "SET body = ?" + where, {sealed, id, head});
  return replaced > 0 ? Resealed::moved : Resealed::elsewhere;
}

}  // namespace

std::string_view sealed_table_name(SealedTable table) noexcept {
  switch (table) {
    case SealedTable::secrets:
      return "secrets";
    case SealedTable::commands:
      return "commands";
    case SealedTable::results:
      return "results";
    case SealedTable::messages:
      return "messages";
  }
  return "";
}

std::vector<SealedTable> sealed_tables(std::string const& domain) {
  if (domain != "message") return {SealedTable::secrets};
  return {SealedTable::secrets, SealedTable::commands, SealedTable::results, SealedTable::messages};
}

std::map<std::string, std::int64_t> count_by_key(sys::Db& db, std::string const& domain) {
  std::map<std::string, std::int64_t> counts;
  for (auto const table : sealed_tables(domain)) {
    if (table == SealedTable::secrets) {
      count_secrets(db, domain, counts);
    } else {
      count_columns(db, table, counts);
    }
  }
  return counts;
}

sys::DbValue reseal_start(SealedTable table) {
  return table == SealedTable::secrets ? DbValue(std::string()) : DbValue(0);
}

ResealPiece find_other_keys(sys::Db& db, SealedTable table, SealKey const& key, DbValue const& after) {
  if (table == SealedTable::secrets) {
    return piece_of(table,
                    db.query("SELECT id, LENGTH(body) FROM secrets WHERE domain = ? AND id > ? AND key_id <> "
                             "? ORDER BY id LIMIT ?",
                             {key.domain(), after, key.key_id(), kBatch}),
                    after, true);
  }
  auto const first = first_after(db, table, after);
  if (!first) return {{}, after, true};
  std::int64_t const end = *first + kWindow;
  return piece_of(table,
                  db.query("SELECT id, LENGTH(body) FROM" + in_table(table) +
                               "WHERE id BETWEEN ? AND ? AND body IS NOT NULL AND SUBSTRING(body, 2, 8) <> ? "
                               "ORDER BY id LIMIT ?",
                           {*first, end, key.key_id(), kBatch}),
                  end, false);
}

Resealed reseal(sys::Db& db, SealedTable table, DbValue const& id, SealKey const& key,
                KeyFinder const& find) {
  return table == SealedTable::secrets ? reseal_secret(db, id, key, find)
                                       : reseal_column(db, table, id, key, find);
}

}  // namespace store
