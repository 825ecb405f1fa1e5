// `pomona command`: what devices are told to do, and what they answered.
#include "proto/command.hpp"

#include <cstdio>
#include <iostream>
#include <iterator>

#include "command_queue.hpp"
#include "nouns.hpp"
#include "service/enqueue.hpp"
#include "store/commands.hpp"
#include "store/queue.hpp"
#include "store/results.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

// What an admin usually wants to know of a device, and every platform answers.
std::vector<std::string> const& usual_queries() {
  static std::vector<std::string> const kQueries{"DeviceName", "OSVersion",    "BuildVersion",  "ModelName",
                                                 "Model",      "ProductName",  "SerialNumber",  "UDID",
                                                 "WiFiMAC",    "IsSupervised", "DeviceCapacity"};
  return kQueries;
}

std::string read_plist_argument(std::string const& name) {
  if (name != "-") return sys::read_file(name);
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

std::string wanted_command(Context& context) {
  bool const from_file = context.arguments().size() == 2;
  if (from_file == context.has("type"))
    context.usage("give either a file with the command's property list (- for standard input) or --type");
  if (from_file) return read_plist_argument(context.arguments()[1]);
  std::string const type = context.option("type");
  std::string const uuid = context.has("uuid") ? context.option("uuid") : sys::random_uuid();
  if (type != "DeviceInformation") {
    if (context.has("query")) context.usage("--query belongs to --type DeviceInformation");
    return proto::simple_command(uuid, type);
  }
  auto const queries = split_list(context.option("query"));
  return proto::device_information(uuid, queries.empty() ? usual_queries() : queries);
}

int run_enqueue(Context& context) {
  service::EnqueueRequest request;
  request.ids = split_list(context.arguments()[0]);
  if (request.ids.empty()) context.usage("no enrolment id");
  std::string const plist = wanted_command(context);
  request.plist = plist;
  request.priority = static_cast<int>(context.number("priority", 0, 255).value_or(service::kUsualPriority));
  request.push = !context.has("no-push");
  request.held = context.has("held");
  request.who = context.who();
  auto const result = service::enqueue(context.db(), context.key("message"), request, context.now());
  List targets;
  for (auto const& target : result.targets) {
    targets.emplace_back(Object{{"id", target.id}, {"queued", !target.error}, {"error", target.error}});
    if (target.error) std::fputs((target.id + ": " + *target.error + '\n').c_str(), stderr);
  }
  context.out().value(Object{{"command_uuid", result.command_uuid},
                             {"request_type", result.request_type},
                             {"targets", std::move(targets)}});
  std::size_t const queued = result.targets.size() - result.failed();
  if (queued > 0) {
    context.out().line("Queued " + result.request_type + " for " + std::to_string(queued) +
                       (queued == 1 ? " enrolment" : " enrolments") + " as " + result.command_uuid +
                       (request.held ? ", held.\nLet it go with: pomona command release "
                                     : ".\nSee the answer with: pomona command show ") +
                       result.command_uuid);
  }
  return result.failed() > 0 ? 1 : 0;
}

int list_all(Context& context, std::int64_t limit) {
  Table table{{{"command_uuid", "COMMAND"},
               {"request_type", "TYPE"},
               {"outstanding", "WAITING", true},
               {"settled", "ANSWERED", true},
               {"cancelled", "CANCELLED", true},
               {"created_at", "CREATED (UTC)"},
               {"created_by", "BY"}},
              {},
              "No commands. Make one with: pomona command enqueue ID --type DeviceInformation"};
  for (auto const& row : store::list_commands(context.db(), INT64_MAX, limit)) {
    table.rows.push_back({row.command.uuid, row.command.request_type, row.outstanding, row.settled,
                          row.cancelled, row.command.created_at, row.command.created_by});
  }
  context.out().table(table);
  return 0;
}

// nullopt: it was cancelled and never answered.
std::optional<sys::Time> answered_at(store::ResultRow const& row) {
  if (row.status == store::kCancelled) return std::nullopt;
  return row.received_at;
}

int list_of(Context& context, std::string const& id, std::int64_t limit) {
  Table table{{{"command_uuid", "COMMAND"},
               {"request_type", "TYPE"},
               {"status", "STATUS"},
               {"priority", "PRIORITY", true},
               {"not_now_count", "NOT NOW", true},
               {"enqueued_at", "ENQUEUED (UTC)"},
               {"received_at", "ANSWERED (UTC)"},
               {"cancelled_at", "CANCELLED (UTC)"},
               {"cancelled_by", ""}},
              {},
              "No commands for " + id + "."};
  store::DeliveryFilter filter;
  filter.external_id = id;
  filter.limit = limit;
  for (auto const& row : store::list_deliveries(context.db(), filter)) {
    table.rows.push_back({row.command_uuid, row.request_type, row.state, row.priority, row.not_now_count,
                          row.enqueued_at, nullptr, nullptr, nullptr});
  }
  for (auto const& row : store::list_results(context.db(), id, limit)) {
    table.rows.push_back({row.command_uuid, row.request_type, row.status, nullptr, row.not_now_count,
                          row.enqueued_at, answered_at(row), row.cancelled_at, row.cancelled_by});
  }
  context.out().table(table);
  return 0;
}

int run_list(Context& context) {
  constexpr std::int64_t kUsual = 1000;
  std::int64_t const limit = context.number("limit", 1, 1'000'000).value_or(kUsual);
  if (!context.arguments().empty()) return list_of(context, context.arguments()[0], limit);
  return list_all(context, limit);
}

struct Shown {
  std::string id;
  std::string status;
  Object value;
  std::optional<std::string> report;
};

Shown shown_delivery(store::Delivery const& row) {
  std::string status = row.state;
  if (row.enrollment_state != "current") status += ", but the enrolment is " + row.enrollment_state;
  return {row.external_id,
          status,
          Object{{"id", row.external_id},
                 {"status", row.state},
                 {"enrollment_state", row.enrollment_state},
                 {"enqueued_at", row.enqueued_at},
                 {"priority", row.priority},
                 {"received_at", nullptr},
                 {"not_now_count", row.not_now_count},
                 {"cancelled_at", nullptr},
                 {"cancelled_by", nullptr},
                 {"report", nullptr}},
          {}};
}

Shown shown_result(store::ResultRow const& row, std::optional<std::string> report) {
  std::string status = row.status + " at " + sys::iso_time(row.received_at);
  if (row.cancelled_at && answered_at(row))
    status += ", after it was cancelled at " + sys::iso_time(*row.cancelled_at);
  if (row.cancelled_by) status += " by " + *row.cancelled_by;
  return {row.external_id, std::move(status),
          Object{{"id", row.external_id},
                 {"status", row.status},
                 {"enrollment_state", nullptr},
                 {"enqueued_at", row.enqueued_at},
                 {"priority", nullptr},
                 {"received_at", answered_at(row)},
                 {"not_now_count", row.not_now_count},
                 {"cancelled_at", row.cancelled_at},
                 {"cancelled_by", row.cancelled_by},
                 {"report", report && sys::is_utf8(*report) ? Value(*report) : Value()}},
          std::move(report)};
}

std::vector<Shown> everything_about(Context& context, std::optional<store::CommandRow> const& command,
                                    std::string const& uuid) {
  std::vector<Shown> all;
  if (command) {
    store::DeliveryFilter filter;
    filter.command_id = command->id;
    for (auto const& row : store::list_deliveries(context.db(), filter)) all.push_back(shown_delivery(row));
  }
  for (auto const& row : store::results_of_command(context.db(), uuid))
    all.push_back(shown_result(row, store::open_report(context.key("message"), row)));
  return all;
}

// The XML as it came, but without what could steer a terminal.
std::string printable(std::string text) {
  for (char& c : text) {
    bool const control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (control && c != '\n' && c != '\t') c = '?';
  }
  return text;
}

void print_about(Context& context, std::optional<std::string> const& plist, std::vector<Shown> const& all) {
  if (plist) context.out().line("\nCommand:\n" + printable(*plist));
  for (auto const& one : all) {
    context.out().line(one.id + ": " + one.status);
    if (one.report) context.out().line(printable(*one.report));
  }
  if (all.empty()) context.out().line("Queued for no enrolment.");
}

int run_show(Context& context) {
  std::string const& uuid = context.arguments()[0];
  auto const command = store::find_command(context.db(), uuid);
  auto const all = everything_about(context, command, uuid);
  if (!command && all.empty()) {
    throw sys::Error(sys::Fault::not_found,
                     "command " + uuid + ": there is none; `pomona command list` shows those there are");
  }
  auto const plist =
      command ? store::command_plist(context.db(), context.key("message"), uuid) : std::nullopt;
  if (context.out().json()) {
    List deliveries;
    for (auto const& one : all) deliveries.emplace_back(one.value);
    context.out().value(Object{{"command_uuid", uuid},
                               {"request_type", command ? Value(command->request_type) : Value()},
                               {"created_at", command ? Value(command->created_at) : Value()},
                               {"created_by", command ? Value(command->created_by) : Value()},
                               {"command", plist},
                               {"enrollments", std::move(deliveries)}});
    return 0;
  }
  if (command) {
    context.out().fields({{"command_uuid", "Command", command->uuid},
                          {"request_type", "Type", command->request_type},
                          {"created_at", "Created (UTC)", command->created_at},
                          {"created_by", "By", command->created_by}});
  } else {
    context.out().line("Command " + uuid + " was never queued here; a device reported it all the same.");
  }
  print_about(context, plist, all);
  return 0;
}

}  // namespace

Noun command_noun() {
  Noun noun{"command",
            "commands for devices and their answers",
            {{"enqueue",
              "queue a command for enrolments",
              "ID[,ID...] [FILE|-]",
              1,
              2,
              {{"type", "RequestType of a command without parameters, or DeviceInformation", "TYPE", ""},
               {"query", "what DeviceInformation asks for, separated by commas", "KEY,...", ""},
               {"uuid", "CommandUUID of a command made with --type (default: a new one)", "UUID", ""},
               {"priority", "0 is served first, 255 last (default 100)", "N", ""},
               {"held", "not offered until `command release`", "", ""},
               {"no-push", "wait until the device comes by itself", "", ""}},
              run_enqueue,
              false,
              "FILE is the property list of the command, {CommandUUID, Command: {RequestType, ...}}; it is "
              "delivered "
              "byte for byte.\nEvery id is answered for itself; exit code 1 when one could not be queued."},
             {"list",
              "list commands, or the queue and answers of one enrolment",
              "[ID]",
              0,
              1,
              {{"limit", "at most so many (default 1000)", "N", ""}},
              run_list,
              false,
              ""},
             {"show",
              "show a command and what each enrolment answered",
              "UUID",
              1,
              1,
              {},
              run_show,
              false,
              "Opens the sealed command and reports: they can hold personal data."}}};
  for (auto& verb : queue_verbs()) noun.verbs.push_back(std::move(verb));
  return noun;
}

}  // namespace admin
