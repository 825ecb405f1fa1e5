// Commands: stored once, delivered to many. The plist is sealed in domain message under a purpose that names
// the command; a keyed hash tells whether a CommandUUID that comes again brings the same bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/command.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

struct CommandRow {
  std::int64_t id = 0;
  std::string uuid = {};
  std::string request_type = {};
  bool rendered = false;
  std::optional<std::string> renderer = {};
  sys::Time created_at = {};
  std::string created_by = {};
};

std::optional<CommandRow> find_command(sys::Db& db, std::string_view uuid);

// Returns the id of the row, which may have been there already with the same bytes. Error{conflict} when it
// has other bytes.
std::int64_t keep_command(sys::Db& db, sys::KeyRing const& message_key, proto::Command const& command,
                          std::string_view plist, std::string_view created_by, sys::Time now);

// A command that pomona-mdm makes at delivery. No secret is in the row.
struct RenderedCommand {
  std::string uuid;
  std::string request_type;
  std::string renderer;
};
inline constexpr std::string_view kRenewRenderer = "renew";
std::int64_t insert_rendered(sys::Db& db, RenderedCommand const& command, std::string_view created_by,
                             sys::Time now);

// What the two sealed columns are made with: the purpose of `body`, and `body_hmac`.
std::string command_purpose(std::string_view uuid);
std::string command_hash(sys::SealKey const& message_key, std::string_view plist);

// The plist of a stored command as it was enqueued, byte for byte.
std::string open_command(sys::KeyRing const& message_key, std::string_view uuid, std::string_view sealed);
std::optional<std::string> command_plist(sys::Db& db, sys::KeyRing const& message_key, std::string_view uuid);

struct CommandSummary {
  CommandRow command;
  std::int64_t outstanding = 0;  // deliveries in the queue
  std::int64_t settled = 0;      // answered, also after a cancellation
  std::int64_t cancelled = 0;    // taken back and not answered
};
// Newest first.
std::vector<CommandSummary> list_commands(sys::Db& db, std::int64_t below_id, std::int64_t limit);

}  // namespace store
