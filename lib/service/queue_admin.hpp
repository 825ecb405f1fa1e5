// What an admin does to deliveries that are outstanding: cancel, hold, release, change the priority. Used by
// the pomona command; made for the API too.
//
// An order names a command, enrolments, or both; at least one. Without ids it is for every enrolment whose
// queue has the command, without a command for everything in the queues of these enrolments, held or not. An
// id stands for all generations that had it, so that a queue of an ended one can be emptied too.
//
// Deliveries are changed in transactions of at most 1,000, each with its events (command.cancelled,
// command.held, command.released, command.priority, one a delivery). A process killed in between has done a
// part; the same order again does the rest. Error{not_found}: no such command; Error{bad_request}: neither
// command nor id.
//
// Cancelling is not undoing. The server does not know whether a device has fetched a command that it has not
// answered; once the cancellation is committed no request is handed the command any more, and a report that
// still comes is kept as the answer, marked as given after the cancellation. An open ticket of a cancelled
// renewal closes in the same transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/queue_admin.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

struct QueueOrder {
  std::optional<std::string> command_uuid = {};
  std::vector<std::string> ids = {};  // external ids; a repeated one counts once
  std::string who = {};               // cli:USER, api:KEY
  bool push = true;                   // release: wake the devices
};

struct QueueTarget {
  std::string id;
  std::int64_t changed = 0;               // deliveries
  std::optional<std::string> error = {};  // why there was nothing to change; none where it was so already
};

struct QueueChange {
  std::int64_t changed = 0;          // deliveries
  std::vector<QueueTarget> targets;  // one for each id of the order, in its sequence

  [[nodiscard]] bool failed() const noexcept;  // for one id at least
};

enum class Which { all, held };
// What an order reaches as things stand, to ask before it is carried out.
store::OutstandingCount count(sys::Db& db, QueueOrder const& order, Which which = Which::all);

QueueChange cancel(sys::Db& db, QueueOrder const& order, sys::Time now);
// Held deliveries are never offered. A device that has fetched the command already answers as usual.
QueueChange hold(sys::Db& db, QueueOrder const& order, sys::Time now);
// Held deliveries take their old place; a push is due in the same transaction.
QueueChange release(sys::Db& db, QueueOrder const& order, sys::Time now);
// Error{bad_request} unless 0 to 255.
QueueChange set_priority(sys::Db& db, QueueOrder const& order, int priority, sys::Time now);

}  // namespace service
