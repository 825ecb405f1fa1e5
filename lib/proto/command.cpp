#include "proto/command.hpp"

#include <array>
#include <utility>

#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/plist.hpp"
#include "sys/text.hpp"

namespace proto {

namespace {

using sys::Error;
using sys::Fault;
using sys::Plist;

constexpr std::array<std::pair<ReportStatus, char const*>, 7> kStatusNames{{
    {ReportStatus::idle, "Idle"},
    {ReportStatus::acknowledged, "Acknowledged"},
    {ReportStatus::error, "Error"},
    {ReportStatus::command_format_error, "CommandFormatError"},
    {ReportStatus::not_now, "NotNow"},
    {ReportStatus::unreadable, "unreadable"},
    {ReportStatus::oversized, "oversized"},
}};

// Only what devices send: "unreadable" and "oversized" are our own words.
ReportStatus parse_status(std::string_view text) noexcept {
  for (auto const& [status, name] : kStatusNames) {
    if (text == name && status != ReportStatus::unreadable && status != ReportStatus::oversized)
      return status;
  }
  return ReportStatus::unreadable;
}

std::string recordable_uuid(std::string uuid) {
  if (uuid.empty() || is_plain_word(uuid, kLongestUuid)) return uuid;
  return "foreign:" + sys::hex(sys::sha256(uuid));
}

std::string get(sys::TopStrings const& top, std::string_view key) {
  auto const found = top.find(key);
  return found == top.end() ? std::string() : found->second;
}

std::string first_error(Plist const& tree) {
  Plist const* chain = tree.find("ErrorChain");
  if (chain == nullptr || chain->array() == nullptr || chain->array()->empty()) return {};
  Plist const& first = chain->array()->front();
  std::string text = first.find_string("ErrorDomain").value_or("unknown domain");
  if (Plist const* code = first.find("ErrorCode"); code != nullptr && code->integer() != nullptr)
    text += ' ' + std::to_string(*code->integer());
  auto words = first.find_string("USEnglishDescription");
  if (!words) words = first.find_string("LocalizedDescription");
  if (words) text += ": " + *words;
  constexpr std::size_t kLongest = 1000;
  return cut_text(std::move(text), kLongest);
}

// What can be told of a report without its tree.
Report report_from(sys::TopStrings const& top, ReportStatus otherwise, std::string detail) {
  Report report;
  report.ids = decode_ids(top);
  // Idle and NotNow settle nothing: what else such a body holds does not matter, and the command stays.
  ReportStatus const said = parse_status(get(top, "Status"));
  bool const settles_nothing = said == ReportStatus::idle || said == ReportStatus::not_now;
  report.status = settles_nothing ? said : otherwise;
  if (said == ReportStatus::idle) return report;
  report.command_uuid = recordable_uuid(get(top, "CommandUUID"));
  report.detail = std::move(detail);
  return report;
}

Report report_from(Plist const& tree, std::string const& status) {
  Report report;
  report.ids = decode_ids(tree);
  report.status = parse_status(status);
  if (report.status == ReportStatus::idle) return report;
  report.command_uuid = recordable_uuid(tree.find_string("CommandUUID").value_or(""));
  report.detail = report.status == ReportStatus::unreadable ? "Status is none that the protocol knows"
                                                            : first_error(tree);
  return report;
}

}  // namespace

char const* status_name(ReportStatus status) noexcept {
  for (auto const& [value, name] : kStatusNames) {
    if (value == status) return name;
  }
  return "unreadable";
}

Command check_command(std::string_view plist) {
  Plist const tree = sys::read_plist(plist);
  auto uuid = tree.find_string("CommandUUID");
  if (!uuid || !is_plain_word(*uuid, kLongestUuid)) {
    throw Error(Fault::bad_request,
                "command: CommandUUID is missing or not at most 255 printable ASCII characters; give each "
                "command a UUID of its own, as uuidgen prints them");
  }
  Plist const* command = tree.find("Command");
  auto type = command == nullptr ? std::nullopt : command->find_string("RequestType");
  if (!type || !is_plain_word(*type, kLongestUuid)) {
    throw Error(Fault::bad_request,
                "command: no Command dictionary with a RequestType; a command plist is "
                "{CommandUUID, Command: {RequestType, ...}}");
  }
  return {*std::move(uuid), *std::move(type)};
}

std::string device_information(std::string const& uuid, std::vector<std::string> const& queries) {
  sys::PlistArray names(queries.begin(), queries.end());
  return sys::write_plist(sys::PlistDict{
      {"Command", sys::PlistDict{{"Queries", std::move(names)}, {"RequestType", "DeviceInformation"}}},
      {"CommandUUID", uuid}});
}

std::string install_profile(std::string const& uuid, std::string const& profile) {
  return sys::write_plist(sys::PlistDict{
      {"Command", sys::PlistDict{{"Payload", sys::PlistData{profile}}, {"RequestType", "InstallProfile"}}},
      {"CommandUUID", uuid}});
}

std::string simple_command(std::string const& uuid, std::string const& request_type) {
  return sys::write_plist(
      sys::PlistDict{{"Command", sys::PlistDict{{"RequestType", request_type}}}, {"CommandUUID", uuid}});
}

Report decode_report(std::string_view body, std::size_t limit) {
  sys::PlistLimits limits;
  limits.bytes = limit;
  sys::TopStrings top;
  try {
    Plist const tree = sys::read_plist(body, limits, top);
    auto const status = tree.find_string("Status");
    if (status) return report_from(tree, *status);
  } catch (Error const& error) {
    if (error.fault() != Fault::bad_request) throw;
    bool const oversized = body.size() > limit;
    if (get(top, "Status").empty()) throw;
    return report_from(top, oversized ? ReportStatus::oversized : ReportStatus::unreadable, error.what());
  }
  throw Error(Fault::bad_request, "report: no Status");
}

}  // namespace proto
