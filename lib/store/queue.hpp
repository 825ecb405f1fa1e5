// Outstanding deliveries of commands: strictly first in, first out within a priority.
//
// A delivery is queued, not-now (the device said so; skipped until its next session) or held (never offered
// until an admin releases it). A settled or cancelled one is a row of `results` and is no longer here.
// What an admin does to them: queue_admin.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

// The command that an enrolment is to be handed next.
struct NextCommand {
  std::int64_t queue_id = 0;
  std::int64_t command_id = 0;
  std::string uuid = {};
  std::string request_type = {};
  bool rendered = false;
  std::optional<std::string> body = {};  // sealed (stored commands)
  std::optional<std::string> renderer = {};
  std::optional<std::string> parameters = {};
};

// Reads NextCommand from eight columns that begin at `column`: queue id, command id, uuid, request type,
// kind, body, renderer, parameters. nullopt where they are NULL.
std::optional<NextCommand> read_next_command(sys::DbRow const& row, std::size_t column);

std::optional<NextCommand> next_command(sys::Db& db, std::int64_t enrollment_id);

// The delivery of a rendered command, also one that was answered NotNow in an earlier session; not a held
// one.
std::optional<NextCommand> next_rendered(sys::Db& db, std::int64_t enrollment_id, std::string_view renderer);
// The CommandUUID of an outstanding delivery of that kind, held ones too.
std::optional<std::string> outstanding_rendered(sys::Db& db, std::int64_t enrollment_id,
                                                std::string_view renderer);
// Inside a transaction: false when the delivery has settled or was held back meanwhile.
bool lock_delivery(sys::Db& db, std::int64_t queue_id);

// A new session begins: what was answered NotNow in the last one is offered again.
void reopen_not_now(sys::Db& db, std::int64_t enrollment_id);

struct SettleRequest {
  std::int64_t enrollment_id = 0;
  std::string uuid = {};
  std::string status = {};               // as in results.status
  std::optional<std::string> body = {};  // sealed
  std::string event = {};                // command.acknowledged, ...; not written for NotNow and repetitions
  std::string external_id = {};
  std::string detail = {};
  bool touch = false;  // write last_seen_at
};
struct Settled {
  // settled, not-now, repeated, unknown; of a cancelled delivery: late (the answer was kept), cancelled (it
  // said NotNow)
  std::string outcome;
  std::optional<NextCommand> next;
};
// The procedure settle_report: one round trip, a transaction of its own. Not to be used inside one.
Settled settle_report(sys::Db& db, SettleRequest const& request, sys::Time now);

struct NewDelivery {
  std::int64_t enrollment_id = 0;
  std::int64_t command_id = 0;
  int priority = 0;
  bool held = false;
};
// False when the command is queued for the enrolment already.
bool add_to_queue(sys::Db& db, NewDelivery const& delivery, sys::Time now);

struct Delivery {
  std::int64_t queue_id = 0;
  std::int64_t enrollment_id = 0;
  std::string external_id = {};
  std::string enrollment_state = {};
  std::string command_uuid = {};
  std::string request_type = {};
  std::string state = {};  // queued, not-now, held
  std::int64_t priority = 0;
  sys::Time enqueued_at = {};
  std::int64_t not_now_count = 0;
  std::optional<sys::Time> not_now_at = {};
};
struct DeliveryFilter {
  std::optional<std::int64_t> command_id = {};
  std::optional<std::string> external_id = {};
  std::int64_t limit = 10000;
};
// In the order of delivery for each enrolment.
std::vector<Delivery> list_deliveries(sys::Db& db, DeliveryFilter const& filter);

}  // namespace store
