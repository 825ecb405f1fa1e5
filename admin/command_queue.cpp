#include "command_queue.hpp"

#include <cstdio>

#include "service/queue_admin.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

// From here on the number of deliveries must be typed: many devices are at stake.
constexpr std::int64_t kMany = 10;

std::string several(std::int64_t number, std::string const& one, std::string const& many) {
  return std::to_string(number) + ' ' + (number == 1 ? one : many);
}

std::string deliveries(std::int64_t number) { return several(number, "delivery", "deliveries"); }

std::vector<std::string> ids_in(Context& context, std::string const& text) {
  auto ids = split_list(text);
  if (ids.empty()) context.usage("no enrolment id");
  return ids;
}

// UUID [ID,...]
service::QueueOrder order_by_command(Context& context, std::size_t ids_at) {
  service::QueueOrder order;
  order.command_uuid = context.arguments()[0];
  if (context.arguments().size() > ids_at) order.ids = ids_in(context, context.arguments()[ids_at]);
  order.who = context.who();
  return order;
}

// UUID [ID,...], or --of ID,...
service::QueueOrder order_by_command_or_queue(Context& context) {
  if (context.arguments().empty() == !context.has("of"))
    context.usage("give either a CommandUUID, or --of with the enrolments whose whole queue is meant");
  if (!context.arguments().empty()) return order_by_command(context, 1);
  service::QueueOrder order;
  order.ids = ids_in(context, context.option("of"));
  order.who = context.who();
  return order;
}

int report(Context& context, service::QueueOrder const& order, service::QueueChange const& change,
           std::string const& text) {
  List targets;
  for (auto const& target : change.targets) {
    targets.emplace_back(Object{{"id", target.id}, {"changed", target.changed}, {"error", target.error}});
    if (target.error)
      std::fputs((sys::escape_controls(target.id + ": " + *target.error) + '\n').c_str(), stderr);
  }
  context.out().value(Object{
      {"command_uuid", order.command_uuid}, {"changed", change.changed}, {"targets", std::move(targets)}});
  context.out().line(text);
  return change.failed() ? 1 : 0;
}

void confirm_many(Context& context, std::int64_t number, std::string const& consequence) {
  if (number >= kMany) context.confirm_typed(consequence, std::to_string(number));
}

std::string cancelled_text(std::int64_t number) {
  if (number == 0) return "Nothing was waiting; nothing was cancelled.";
  return "Cancelled " + deliveries(number) +
         ".\nA device that had fetched a command before may still carry it out. Its answer is kept then, and "
         "`pomona command show` tells that it came after the cancellation.";
}

int run_cancel(Context& context) {
  auto const order = order_by_command(context, 1);
  auto const number = service::count(context.db(), order).deliveries;
  confirm_many(context, number,
               "Cancel " + deliveries(number) + " of " + *order.command_uuid +
                   "? To have it carried out after "
                   "all it must be queued again under a new CommandUUID.");
  auto const change = service::cancel(context.db(), order, context.now());
  return report(context, order, change, cancelled_text(change.changed));
}

int run_clear(Context& context) {
  service::QueueOrder order;
  order.ids = ids_in(context, context.arguments()[0]);
  order.who = context.who();
  auto const at_stake = service::count(context.db(), order);
  if (at_stake.deliveries > 0) {
    std::string const consequence =
        "Cancel everything that waits, held or not: " + deliveries(at_stake.deliveries) + " of " +
        several(at_stake.enrollments, "enrolment", "enrolments") + '?';
    if (at_stake.enrollments == 1) {
      context.confirm(consequence);
    } else {
      context.confirm_typed(consequence, std::to_string(at_stake.deliveries));
    }
  }
  auto const change = service::cancel(context.db(), order, context.now());
  return report(context, order, change, cancelled_text(change.changed));
}

int run_hold(Context& context) {
  auto const order = order_by_command_or_queue(context);
  auto const change = service::hold(context.db(), order, context.now());
  return report(context, order, change,
                change.changed == 0 ? "Nothing to hold: nothing waits, or it is held already."
                                    : "Held " + deliveries(change.changed) +
                                          ": not offered until `pomona command release`. A device that had "
                                          "fetched a command before may still answer it.");
}

int run_release(Context& context) {
  auto order = order_by_command_or_queue(context);
  order.push = !context.has("no-push");
  auto const number = service::count(context.db(), order, service::Which::held).deliveries;
  confirm_many(
      context, number,
      "Release " + deliveries(number) + "? The devices carry the commands out as soon as they come.");
  auto const change = service::release(context.db(), order, context.now());
  return report(context, order, change,
                change.changed == 0 ? "Nothing was held; nothing was released."
                                    : "Released " + deliveries(change.changed) + '.');
}

int run_priority(Context& context) {
  auto const order = order_by_command(context, 2);
  auto const priority = sys::parse_integer(context.arguments()[1]);
  if (!priority || *priority < 0 || *priority > 255)
    context.usage("PRIORITY: a number from 0 to 255 is needed");
  auto const change = service::set_priority(context.db(), order, static_cast<int>(*priority), context.now());
  return report(context, order, change,
                change.changed == 0
                    ? "Nothing to change: nothing waits, or it has that priority already."
                    : "Priority " + std::to_string(*priority) + " for " + deliveries(change.changed) + '.');
}

Verb cancel_verb() {
  Verb verb{"cancel",
            "take a command back from enrolments that have not answered it",
            "UUID [ID,...]",
            1,
            2,
            {},
            run_cancel,
            true};
  verb.details =
      "Without ids: from every queue that has it. A device that has fetched the command already may still "
      "carry "
      "it\nout; its answer is kept then. Asks from 10 deliveries on. Exit code 1 when an id has answered "
      "already or "
      "never\nhad the command; one that was cancelled before is no error.";
  return verb;
}

Verb clear_verb() {
  Verb verb{"clear", "empty the queues of enrolments", "ID[,ID...]", 1, 1, {}, run_clear, true};
  verb.details = "Cancels everything that waits there, held commands and renewals too.";
  return verb;
}

Verb hold_verb() {
  Verb verb{"hold",
            "keep waiting commands from being offered",
            "[UUID [ID,...]]",
            0,
            2,
            {{"of", "everything that waits for these enrolments", "ID,...", ""}},
            run_hold};
  verb.details = "A held command keeps its place; `release` gives it back.";
  return verb;
}

Verb release_verb() {
  Verb verb{"release",
            "offer held commands again",
            "[UUID [ID,...]]",
            0,
            2,
            {{"of", "everything that is held for these enrolments", "ID,...", ""},
             {"no-push", "wait until the devices come by themselves", "", ""}},
            run_release,
            true};
  verb.details = "They take the place that their time of enqueueing gives them. Asks from 10 deliveries on.";
  return verb;
}

Verb priority_verb() {
  return {"priority",
          "serve a waiting command earlier or later",
          "UUID PRIORITY [ID,...]",
          2,
          3,
          {},
          run_priority,
          false,
          "0 is served first, 255 last; within a priority first in, first out."};
}

}  // namespace

std::vector<std::string> split_list(std::string const& text) {
  std::vector<std::string> parts;
  for (auto const part : sys::split(text, ',')) {
    if (auto const trimmed = sys::trim(part); !trimmed.empty()) parts.emplace_back(trimmed);
  }
  return parts;
}

std::vector<Verb> queue_verbs() {
  return {cancel_verb(), clear_verb(), hold_verb(), release_verb(), priority_verb()};
}

}  // namespace admin
