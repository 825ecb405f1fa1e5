#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "bytes.hpp"
#include "json.hpp"
#include "mdm.hpp"
#include "messages.hpp"
#include "options.hpp"
#include "session.hpp"

namespace device {
namespace {

// Lines for people; with --json stdout belongs to the result alone.
Say talker(const Options& options) {
  if (options.json) return [](const std::string&) {};
  return [](const std::string& line) {
    std::cout << line << std::endl;
  };  // each line at once: scripts follow it
}

Whims whims_of(const Options& options) {
  return {{options.not_now.begin(), options.not_now.end()},
          {options.error.begin(), options.error.end()},
          {options.ignore.begin(), options.ignore.end()}};
}

Habits habits_of(const Options& options) {
  Habits habits;
  habits.quiet_renewal = options.quiet_renewal;
  habits.old_session = old_session_from(options.old_session);
  return habits;
}

// As whom it speaks in this run, and by which clock.
void put_on(const Options& options, Device& device) {
  device.clock_skew = options.clock_skew;
  if (!options.identity.empty()) device.shown = load_device(options.identity).identity;
  if (!options.old_identity) return;
  if (!device.old_identity) throw Error(device.label() + " was never renewed: it has no old identity");
  device.shown = device.old_identity;
}

Channel& channel_of(const Options& options, Device& device) {
  if (!options.user_channel) return device.channel;
  if (!device.user) throw Error(device.label() + " has no user channel; enrol it with --user NAME");
  return *device.user;
}

void print_session(const Device& device, const std::vector<Handled>& handled) {
  std::cout << R"({"udid":)" << json_string(device.udid) << R"(,"commands":[)";
  const char* comma = "";
  for (const Handled& one : handled) {
    std::cout << comma << R"({"command_uuid":)" << json_string(one.uuid) << R"(,"request_type":)"
              << json_string(one.type) << R"(,"status":)" << json_string(one.status) << R"(,"remark":)"
              << json_string(one.remark) << '}';
    comma = ",";
  }
  std::cout << "]}" << std::endl;
}

void run_session(const Options& options, Device& device, Channel& channel, const Say& say) {
  put_on(options, device);
  Http http = connect(device);
  http.record(options.record);
  KeyPool keys(options.keys);
  if (old_session_from(options.old_session) == OldSession::resumed) http.resume();
  Context context{
      device, http, keys, say, static_cast<std::size_t>(options.scep_segment), habits_of(options)};
  const auto handled = hold_session(context, channel, whims_of(options));
  if (options.json) return print_session(device, handled);
  say(device.label() + ": session over, " + std::to_string(handled.size()) + " command(s)");
}

// Reads on in the stand-in's log; true when a push for one of the device's channels was found.
Channel* find_push(std::ifstream& log, Device& device) {
  std::string line;
  for (; std::getline(log, line) && !log.eof(); device.apns_log_offset = log.tellg()) {
    const auto push = read_push(line);
    if (!push) continue;
    const auto meant = [&](const Channel& channel) {
      return push->token == hex(channel.token) && push->push_magic == channel.push_magic;
    };
    Channel* found = meant(device.channel) ? &device.channel : nullptr;
    if (device.user && meant(*device.user)) found = &*device.user;
    if (found == nullptr) continue;
    device.apns_log_offset = log.tellg();
    return found;
  }
  return nullptr;
}

Channel* wait_for_push(const Options& options, Device& device) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(options.timeout);
  do {
    std::ifstream log(options.apns_log, std::ios::binary);
    log.seekg(0, std::ios::end);
    if (log && log.tellg() < device.apns_log_offset) device.apns_log_offset = 0;  // a new log
    log.seekg(device.apns_log_offset);
    if (Channel* found = find_push(log, device)) return found;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  } while (std::chrono::steady_clock::now() < deadline);
  return nullptr;
}

Dict message_for(const Options& options, Device& device) {
  Channel& channel = channel_of(options, device);
  const std::string& type = options.message;
  if (type == "Authenticate") return authenticate_message(device);
  if (type == "TokenUpdate") return token_update_message(device, channel);
  if (type == "CheckOut") return check_out_message(device);
  if (type == "UserAuthenticate") return user_authenticate_message(device, channel);
  if (type == "SetBootstrapToken")
    return set_bootstrap_token_message(device,
                                       options.data.empty() ? random_bytes(64) : read_file(options.data));
  return plain_message(device, channel, type);
}

bool is_status(const std::string& type) {
  return type == "Idle" || type == "Acknowledged" || type == "Error" || type == "CommandFormatError" ||
         type == "NotNow";
}

// The body of `send`: --body as it is; else the message, changed by --data (a property list) and --set.
std::string body_for(const Options& options, Device& device) {
  if (!options.body.empty()) return read_file(options.body);
  Dict message = is_status(options.message) ? report(device, channel_of(options, device), options.message)
                                            : message_for(options, device);
  if (!options.data.empty() && options.message != "SetBootstrapToken") {
    const Dict data = parse_plist_dict(read_file(options.data));
    for (const Entry& entry : data.entries()) message.set(entry.key, entry.value);
  }
  for (const std::string& change : options.set) {
    const std::size_t equals = change.find('=');
    if (equals == std::string::npos) throw Error("--set wants KEY=VALUE, got '" + change + "'");
    if (equals + 1 == change.size())
      message.erase(change.substr(0, equals));
    else
      message.set(change.substr(0, equals), change.substr(equals + 1));
  }
  return to_xml(message);
}

// A recorded request, from whoever has the recording: without certificate, with the headers as they were.
Reply send_again(Http& http, const Device& device, const Options& options, const std::string& body) {
  Request request{"again", "PUT", "", "MDM/1.0", body, {}};
  request.url = is_status(options.message) || options.message == "command" ? device.mdm.server_url
                                                                           : device.mdm.checkin_url;
  std::istringstream lines(read_file(options.headers));
  for (std::string line; std::getline(lines, line);) request.headers.push_back(line);
  return http.perform(request);
}

}  // namespace

int enroll_command(const Options& options) {
  const Say say = talker(options);
  Device device = has_device(options.state)
                      ? load_device(options.state)
                      : new_device(kind_from(options.kind), options.udid, options.serial);
  device.folder = options.state;
  if (!options.udid.empty()) device.udid = options.udid;
  if (!options.serial.empty()) device.serial = options.serial;
  if (!options.ca_file.empty()) device.system_trust = read_file(options.ca_file);
  device.signature_form = signature_form_from(options.signature_form);
  device.client_certificate = !options.no_client_certificate;
  device.awaiting_configuration = options.awaiting;
  KeyPool keys(options.keys);
  Http http(device.system_trust);
  http.record(options.record);
  device.clock_skew = options.clock_skew;
  Context context{device, http, keys, say, static_cast<std::size_t>(options.scep_segment), {}};
  if (!options.identity.empty()) context.habits.borrowed = load_device(options.identity).identity;
  enrol(context, fetch_profile(http, options.url, scep_user_agent(device.kind)), options.user);
  if (options.json)
    std::cout << R"({"udid":)" << json_string(device.udid) << R"(,"serial":)" << json_string(device.serial)
              << R"(,"topic":)" << json_string(device.mdm.topic) << R"(,"token":)"
              << json_string(hex(device.channel.token)) << R"(,"user_id":)"
              << (device.user ? json_string(device.user->user_id()) : "null") << '}' << std::endl;
  return 0;
}

int poll_command(const Options& options) {
  Device device = load_device(options.state);
  run_session(options, device, channel_of(options, device), talker(options));
  return 0;
}

int wait_command(const Options& options) {
  const Say say = talker(options);
  Device device = load_device(options.state);
  say(device.label() + ": waiting up to " + std::to_string(options.timeout) + " s for a push");
  Channel* channel = wait_for_push(options, device);
  device.save();
  if (channel == nullptr)
    throw Error(device.label() + ": no push within " + std::to_string(options.timeout) + " s");
  say(device.label() + ": push received");
  run_session(options, device, *channel, say);
  return 0;
}

int send_command(const Options& options) {
  Device device = load_device(options.state);
  const std::string body = body_for(options, device);
  put_on(options, device);
  if (options.no_identity) device.client_certificate = device.mdm.sign_message = false;
  Http http = connect(device);
  http.record(options.record);
  const bool status = is_status(options.message) || options.message == "command";
  const Reply reply = !options.headers.empty() ? send_again(http, device, options, body)
                      : status                 ? tell_status(http, device, body, "report")
                                               : check_in(http, device, body);
  if (options.json) {
    std::cout << R"({"status":)" << reply.status << R"(,"content_type":)" << json_string(reply.content_type)
              << R"(,"body":)" << json_string(reply.body) << '}' << std::endl;
  } else {
    std::cout << device.label() << ": " << options.message << ": HTTP " << reply.status << ", "
              << (reply.content_type.empty() ? "no content type" : reply.content_type) << ", "
              << reply.body.size() << " bytes" << std::endl
              << reply.body;
    if (!reply.body.empty() && reply.body.back() != '\n') std::cout << std::endl;
  }
  if (reply.ok() && options.message == "CheckOut" && options.identity.empty()) {
    device.enrolled = false;
    device.save();
  }
  return reply.ok() ? 0 : 1;
}

}  // namespace device
