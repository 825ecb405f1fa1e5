#include "session.hpp"

#include "mdm.hpp"
#include "messages.hpp"

namespace device {

Command read_command(const std::string& body) {
  const Dict dict = parse_plist_dict(body);
  const auto uuid = dict.string("CommandUUID");
  const Dict* content = dict.dict("Command");
  if (!uuid || uuid->empty()) throw Error("the server sent a command without CommandUUID");
  const auto type = content == nullptr ? std::nullopt : content->string("RequestType");
  if (!type) throw Error("the server sent a command without Command or RequestType (" + *uuid + ")");
  return {*uuid, *type, *content};
}

std::string report_of(const Context& context, const Channel& channel, const Command& command,
                      const Answer& answer) {
  Dict message = report(context.device, channel, answer.status);
  message.set("CommandUUID", command.uuid);
  if (context.device.kind == Kind::mac) message.set("RequestType", command.type);
  for (const Entry& entry : answer.keys.entries()) message.set(entry.key, entry.value);
  return to_xml(message);
}

namespace {

// Sends one status and gives the server's reply; a report is owed until a 2xx answers it.
std::string exchange(Context& context, Channel& channel, const std::string& body, bool is_report) {
  if (is_report) channel.pending_report = body;
  if (is_report) context.device.save();
  const Reply reply = tell_status(context.http, context.device, body, is_report ? "report" : "idle");
  if (context.device.shown)
    context.say(context.device.label() + ": over a " + name_of(reply.connection) +
                " connection with another identity than its own");
  if (!reply.ok())
    throw Error("the server answered " + std::string(is_report ? "a report" : "Idle") + " with " +
                reply_summary(reply) + (is_report ? "; it is kept for the next session" : ""));
  if (channel.pending_report.empty()) return reply.body;
  channel.pending_report.clear();
  context.device.save();
  return reply.body;
}

void tell(const Context& context, const Handled& handled) {
  context.say(context.device.label() + ": command " + handled.type + " (" + handled.uuid +
              "): " + handled.status + (handled.remark.empty() ? "" : ", " + handled.remark));
}

}  // namespace

std::vector<Handled> hold_session(Context& context, Channel& channel, const Whims& whims) {
  if (!context.device.enrolled) throw Error(context.device.label() + " is not enrolled");
  std::vector<Handled> handled;
  std::set<std::string> refused;
  const std::string owed = channel.pending_report;
  std::string body = owed.empty()
                         ? exchange(context, channel, to_xml(report(context.device, channel, "Idle")), false)
                         : exchange(context, channel, owed, true);
  while (!body.empty()) {
    const Command command = read_command(body);
    if (refused.count(command.uuid) != 0)
      throw Error("the server offered " + command.type + " (" + command.uuid +
                  ") again after NotNow in one session");
    if (whims.ignore.count(command.type) != 0) {
      handled.push_back({command.uuid, command.type, "", "left without an answer, as asked for by --ignore"});
      tell(context, handled.back());
      break;
    }
    const Answer given = answer(context, command.type, command.content, whims);
    if (given.status == "NotNow") refused.insert(command.uuid);
    handled.push_back({command.uuid, command.type, given.status, given.remark});
    tell(context, handled.back());
    body = exchange(context, channel, report_of(context, channel, command, given), true);
    if (given.then == Answer::Then::nothing) continue;
    if (given.then == Answer::Then::leave) leave(context);
    context.device.enrolled = false;
    context.device.save();
    break;
  }
  return handled;
}

}  // namespace device
