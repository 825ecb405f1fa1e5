// Results: the first final report of each delivery, or that it was cancelled. Reports are sealed in domain
// message under a purpose that names enrolment and command.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

struct ResultRow {
  std::int64_t enrollment_id = 0;
  std::string external_id = {};
  std::string command_uuid = {};
  std::optional<std::string> request_type = {};  // none: the command was never queued for the enrolment
  std::string status = {};
  std::optional<std::string> body = {};  // sealed
  std::optional<sys::Time> enqueued_at = {};
  std::int64_t not_now_count = 0;
  sys::Time received_at = {};  // the report; of a cancelled delivery: as cancelled_at
  // Taken back by an admin. With another status than kCancelled the device answered afterwards.
  std::optional<sys::Time> cancelled_at = {};
  std::optional<std::string> cancelled_by = {};
};

inline constexpr std::string_view kCancelled = "cancelled";  // a status: taken back and not answered

std::string result_purpose(std::int64_t enrollment_id,
                           std::string_view uuid);  // what a sealed body is bound to
std::string seal_report(sys::KeyRing const& message_key, std::int64_t enrollment_id, std::string_view uuid,
                        std::string_view report);
// The report as it came; nullopt when it was not kept.
std::optional<std::string> open_report(sys::KeyRing const& message_key, ResultRow const& row);

// All of a command, in the order of arrival.
std::vector<ResultRow> results_of_command(sys::Db& db, std::string_view uuid);
// Without bodies, newest first.
std::vector<ResultRow> list_results(sys::Db& db, std::string_view external_id, std::int64_t limit);

// The status of a command that was queued for the enrolment and is settled; nullopt when it is not.
std::optional<std::string> settled_status(sys::Db& db, std::int64_t enrollment_id, std::int64_t command_id);

}  // namespace store
