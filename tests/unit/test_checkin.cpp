#include <catch2/catch.hpp>

#include "proto/checkin.hpp"
#include "proto/command.hpp"
#include "sys/error.hpp"

namespace {

using proto::Channel;
using sys::Plist;
using sys::PlistArray;
using sys::PlistData;
using sys::PlistDict;

proto::Ids ids(PlistDict keys) { return proto::decode_ids(Plist(std::move(keys))); }

std::string xml(std::string const& inside) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>" + inside +
         "</dict></plist>";
}

std::string pair(std::string const& key, std::string const& value) {
  return "<key>" + key + "</key><string>" + value + "</string>";
}

std::string deep() {
  std::string open;
  std::string close;
  for (int i = 0; i < 100; ++i) {
    open += "<array>";
    close += "</array>";
  }
  return "<key>Deep</key>" + open + close;
}

constexpr std::size_t kLimit = 1U << 20U;

}  // namespace

TEST_CASE("The keys of a message name its channel") {
  struct Row {
    PlistDict keys;
    Channel channel;
    std::string external;
  };
  std::string const shared(proto::kSharedIpadUserId);
  std::vector<Row> const rows{
      {{{"UDID", "U"}}, Channel::device, "U"},
      {{{"UDID", "U"}, {"UserID", "V"}, {"UserShortName", "v"}}, Channel::user, "U:V"},
      {{{"UDID", "U"}, {"UserID", shared}, {"UserShortName", "v@x.org"}},
       Channel::shared_ipad_user,
       "U:v@x.org"},
      {{{"EnrollmentID", "E"}}, Channel::user_enrollment_device, "E"},
      {{{"EnrollmentID", "E"}, {"EnrollmentUserID", "F"}}, Channel::user_enrollment_user, "E:F"},
      {{{"UDID", "U"}, {"EnrollmentID", "E"}, {"EnrollmentUserID", "F"}}, Channel::device, "U"},
  };
  for (auto const& row : rows) {
    auto const found = ids(row.keys);
    CHECK(found.channel == row.channel);
    CHECK(found.external() == row.external);
    CHECK(found.is_user() == (row.external.find(':') != std::string::npos));
    CHECK(proto::parse_channel(proto::channel_name(found.channel)) == found.channel);
  }
}

TEST_CASE("Identifiers that could be taken for another's are refused") {
  std::vector<PlistDict> const wrong{
      {},
      {{"UDID", ""}},
      {{"UDID", "a:b"}},
      {{"UDID", "a,b"}},
      {{"UDID", "a b"}},
      {{"UDID", "\xc3\xa4"}},
      {{"UDID", std::string(256, 'x')}},
      {{"UDID", 5}, {"EnrollmentID", "a:b"}},
      {{"UDID", "U"}, {"UserID", ""}},
      {{"UDID", "U"}, {"UserID", "line\nbreak"}},
      {{"UDID", "U"}, {"UserID", std::string(256, 'x')}},
      {{"UDID", "U"}, {"UserID", std::string(proto::kSharedIpadUserId)}},
      {{"EnrollmentID", "E"}, {"EnrollmentUserID", ""}},
  };
  for (auto const& keys : wrong) CHECK_THROWS_AS(ids(keys), sys::Error);
  CHECK(ids({{"UDID", std::string(255, 'x')}}).device.size() == 255);
}

TEST_CASE("Text for people is cut at a character") {
  CHECK(proto::cut_text("short") == "short");
  CHECK(proto::cut_text(std::string(254, 'x') + "\xc3\xa4").size() == 254);
  CHECK(proto::cut_text("\xff\xfe").empty());
}

TEST_CASE("An Authenticate tells what the device says about itself") {
  auto const checkin = proto::decode_checkin(Plist(PlistDict{{"MessageType", "Authenticate"},
                                                             {"UDID", "U"},
                                                             {"Topic", "com.apple.mgmt.T"},
                                                             {"SerialNumber", "C02"},
                                                             {"OSVersion", "17.6"},
                                                             {"DeviceName", ""}}));
  CHECK(checkin.type == "Authenticate");
  auto const& message = std::get<proto::Authenticate>(checkin.message);
  CHECK(message.topic == "com.apple.mgmt.T");
  CHECK(message.serial_number == "C02");
  CHECK(message.os_version == "17.6");
  CHECK_FALSE(message.device_name);
}

TEST_CASE("A TokenUpdate has token, magic and topic, and may have an unlock token") {
  PlistDict keys{{"MessageType", "TokenUpdate"}, {"UDID", "U"},          {"Topic", "T"},
                 {"Token", PlistData{"raw"}},    {"PushMagic", "magic"}, {"UnlockToken", PlistData{"keybag"}},
                 {"AwaitingConfiguration", true}};
  auto const checkin = proto::decode_checkin(Plist(keys));
  auto const& update = std::get<proto::TokenUpdate>(checkin.message);
  CHECK(update.token == "raw");
  CHECK(update.push_magic == "magic");
  CHECK(update.unlock_token.view() == "keybag");
  CHECK(update.awaiting_configuration);
  for (char const* key : {"Topic", "Token", "PushMagic"}) {
    PlistDict without;
    for (auto const& entry : keys) {
      if (entry.first != key) without.push_back(entry);
    }
    CHECK_THROWS_AS(proto::decode_checkin(Plist(without)), sys::Error);
  }
}

TEST_CASE("An unknown MessageType is told from a malformed one") {
  auto const unknown = proto::decode_checkin(Plist(PlistDict{{"MessageType", "Later"}, {"UDID", "U"}}));
  CHECK(std::holds_alternative<proto::Unsupported>(unknown.message));
  CHECK_THROWS_AS(proto::decode_checkin(Plist(PlistDict{{"UDID", "U"}})), sys::Error);
  CHECK_THROWS_AS(proto::decode_checkin(Plist(PlistDict{{"MessageType", "a b"}, {"UDID", "U"}})), sys::Error);
  CHECK_THROWS_AS(proto::decode_checkin(Plist(PlistArray{})), sys::Error);
}

TEST_CASE("An absent bootstrap token is an answer without the key") {
  CHECK(sys::read_plist(proto::bootstrap_token_answer({})) == Plist(PlistDict{}));
  auto const answer = sys::read_plist(proto::bootstrap_token_answer(sys::SecretBytes("tok")));
  CHECK(answer.find_data("BootstrapToken") == "tok");
}

TEST_CASE("A report tells its status, command and first error") {
  PlistDict const error{{"ErrorCode", 12021},
                        {"ErrorDomain", "MCMDMErrorDomain"},
                        {"LocalizedDescription", "unbekannt"},
                        {"USEnglishDescription", "unknown"}};
  auto const body = sys::write_plist(PlistDict{
      {"Status", "Error"}, {"UDID", "U"}, {"CommandUUID", "C"}, {"ErrorChain", PlistArray{Plist(error)}}});
  auto const report = proto::decode_report(body, kLimit);
  CHECK(report.status == proto::ReportStatus::error);
  CHECK(report.command_uuid == "C");
  CHECK(report.detail == "MCMDMErrorDomain 12021: unknown");
}

TEST_CASE("A report whose tree cannot be read is settled by what the gate saw of it") {
  auto const named = pair("Status", "Acknowledged") + pair("UDID", "U") + pair("CommandUUID", "C");
  auto const report = proto::decode_report(xml(named + deep()), kLimit);
  CHECK(report.status == proto::ReportStatus::unreadable);
  CHECK(report.ids.external() == "U");
  CHECK(report.command_uuid == "C");
  CHECK_FALSE(report.detail.empty());

  auto const long_one = proto::decode_report(xml(named + pair("Long", std::string(5000, 'x'))), 4000);
  CHECK(long_one.status == proto::ReportStatus::oversized);
  CHECK(long_one.command_uuid == "C");

  auto const odd = proto::decode_report(xml(pair("Status", "oversized") + pair("UDID", "U")), kLimit);
  CHECK(odd.status == proto::ReportStatus::unreadable);
}

TEST_CASE("Idle and NotNow settle nothing, however broken their body is") {
  auto const rest = pair("UDID", "U") + pair("CommandUUID", "C") + deep();
  auto const idle = proto::decode_report(xml(pair("Status", "Idle") + rest), kLimit);
  CHECK(idle.status == proto::ReportStatus::idle);
  CHECK(idle.command_uuid.empty());
  auto const not_now = proto::decode_report(xml(pair("Status", "NotNow") + rest), kLimit);
  CHECK(not_now.status == proto::ReportStatus::not_now);
  CHECK(not_now.command_uuid == "C");
}

TEST_CASE("A report that does not name its sender is refused") {
  for (auto const& body :
       {std::string("junk"), std::string("bplist00"), xml(""), xml(pair("Status", "Idle")),
        xml(pair("UDID", "U")), xml(pair("Status", "Idle") + pair("UDID", "U") + pair("UDID", "V")),
        xml(pair("Status", "Acknowledged") + deep())}) {
    CHECK_THROWS_AS(proto::decode_report(body, kLimit), sys::Error);
  }
}

TEST_CASE("A CommandUUID that can be none of ours is recorded under its hash") {
  auto const report = proto::decode_report(
      xml(pair("Status", "Error") + pair("UDID", "U") + pair("CommandUUID", "\xc3\xa4")), kLimit);
  CHECK(report.command_uuid.starts_with("foreign:"));
  CHECK(report.command_uuid.size() == 8 + 64);
}

TEST_CASE("A command needs a CommandUUID and a RequestType") {
  auto const command = proto::check_command(proto::simple_command("C", "ProfileList"));
  CHECK(command.uuid == "C");
  CHECK(command.request_type == "ProfileList");
  auto const information = sys::read_plist(proto::device_information("D", {"OSVersion", "UDID"}));
  CHECK(information.find("Command")->find("Queries")->array()->size() == 2);
  for (auto const& body :
       {std::string("junk"), xml(""), xml(pair("CommandUUID", "C")),
        xml(pair("CommandUUID", "C") + pair("Command", "X")),
        xml(pair("CommandUUID", "a b") + "<key>Command</key><dict>" + pair("RequestType", "X") + "</dict>"),
        xml("<key>Command</key><dict>" + pair("RequestType", "X") + "</dict>")}) {
    CHECK_THROWS_AS(proto::check_command(body), sys::Error);
  }
}
