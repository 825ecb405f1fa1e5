// The command channel: commands that we send, reports that devices send.
//
// Source: Apple's command schema (CommandUUID, Command.RequestType; Status, ErrorChain). A report that cannot
// be read is still a report: what the gate saw of it names sender and command, so that it can be settled.
// Errors: Error{bad_request}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proto/checkin_ids.hpp"

namespace proto {

inline constexpr std::size_t kLongestUuid = 255;  // bytes of CommandUUID and RequestType

struct Command {
  std::string uuid;
  std::string request_type;
};

// What a command must be to be queued: an XML property list, a dict with CommandUUID and Command.RequestType.
Command check_command(std::string_view plist);

// A DeviceInformation command for these queries.
std::string device_information(std::string const& uuid, std::vector<std::string> const& queries);
// InstallProfile with these bytes.
std::string install_profile(std::string const& uuid, std::string const& profile);
// Any command without parameters.
std::string simple_command(std::string const& uuid, std::string const& request_type);

enum class ReportStatus {
  idle,
  acknowledged,
  error,
  command_format_error,
  not_now,
  unreadable,  // the body, or a Status that the protocol does not know
  oversized,   // longer than what is kept
};

// The text in column results.status; Idle has none there.
char const* status_name(ReportStatus status) noexcept;

struct Report {
  Ids ids;
  ReportStatus status = ReportStatus::idle;
  // Empty with Idle, and where a report has none. One that can be none of ours (longer than 255 bytes, or not
  // plain ASCII) is replaced by "foreign:" and its SHA-256, so that it can be recorded.
  std::string command_uuid;
  std::string detail;  // for people: the first entry of ErrorChain, or why the report is unreadable
};

// `limit`: bytes of a report that are read as a tree. Throws only where the sender is not named.
Report decode_report(std::string_view body, std::size_t limit);

}  // namespace proto
