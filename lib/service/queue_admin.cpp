#include "service/queue_admin.hpp"

#include <algorithm>
#include <functional>
#include <set>
#include <span>

#include "store/commands.hpp"
#include "store/enrollments.hpp"
#include "store/events.hpp"
#include "store/push.hpp"
#include "store/results.hpp"
#include "store/tickets.hpp"
#include "sys/crash_point.hpp"
#include "sys/error.hpp"

namespace service {

namespace {

using store::Outstanding;

// Deliveries that one transaction changes. Four rows at most are written for each, so it stays below 5,000.
constexpr std::size_t kBatch = 1000;

// One kind of change.
struct Action {
  std::string event;
  std::string detail;                              // behind the type of the command
  std::function<bool(Outstanding const&)> change;  // false: nothing to change
  bool wants_cancelled = false;                    // a delivery that was cancelled before is as it should be
};

struct Candidate {
  Outstanding delivery;
  std::size_t target;  // index into QueueChange::targets
};

struct Run {
  sys::Db& db;
  QueueOrder const& order;
  Action const& action;
  sys::Time now;
  QueueChange& result;
};

void record(Run const& run, Outstanding const& delivery) {
  store::Event event{run.action.event, run.order.who};
  event.external_id = delivery.external_id;
  event.enrollment_id = delivery.enrollment_id;
  event.command_uuid = delivery.command_uuid;
  event.detail = delivery.request_type + run.action.detail;
  store::record_event(run.db, event, run.now);
}

void change_batch(Run const& run, std::span<Candidate const> batch) {
  auto const done = run.db.transaction([&] {
    std::vector<std::size_t> changed;
    for (auto const& candidate : batch) {
      if (!run.action.change(candidate.delivery)) continue;
      record(run, candidate.delivery);
      changed.push_back(candidate.target);
    }
    sys::crash_point("queue-changed");
    return changed;
  });
  sys::crash_point("queue-change-committed");
  run.result.changed += static_cast<std::int64_t>(done.size());
  for (auto const target : done) {
    if (target < run.result.targets.size()) ++run.result.targets[target].changed;
  }
}

void change_in_batches(Run const& run, std::vector<Candidate> const& candidates) {
  std::span<Candidate const> rest(candidates);
  while (!rest.empty()) {
    auto const batch = rest.first(std::min(kBatch, rest.size()));
    change_batch(run, batch);
    rest = rest.subspan(batch.size());
  }
}

// Page by page: a command can be outstanding for a whole fleet.
void change_everywhere(Run const& run, std::int64_t command_id) {
  store::OutstandingFilter filter;
  filter.command_id = command_id;
  filter.limit = static_cast<std::int64_t>(kBatch);
  for (;;) {
    std::vector<Candidate> page;
    for (auto& delivery : store::list_outstanding(run.db, filter)) page.push_back({std::move(delivery), 0});
    if (page.empty()) return;
    filter.above_id = page.back().delivery.queue_id;
    change_batch(run, page);
  }
}

store::OutstandingFilter of_enrollment(std::int64_t enrollment_id, std::optional<std::int64_t> command_id) {
  store::OutstandingFilter filter;
  filter.enrollment_id = enrollment_id;
  filter.command_id = command_id;
  filter.limit = INT64_MAX;
  return filter;
}

// Why nothing was changed for an id; nullopt where it was so already.
std::optional<std::string> why_not(Run const& run, std::vector<store::Enrollment> const& all,
                                   std::int64_t command_id) {
  std::optional<std::string> answered;
  for (auto const& row : all) {
    if (store::count_outstanding(run.db, of_enrollment(row.id, command_id)).deliveries > 0)
      return std::nullopt;
    if (!answered) answered = store::settled_status(run.db, row.id, command_id);
  }
  if (!answered) return "the command was never queued for it";
  if (*answered != store::kCancelled) return "it has answered this command already: " + *answered;
  if (run.action.wants_cancelled) return std::nullopt;
  return "the command was cancelled for it; a command that is to run needs a new CommandUUID";
}

void change_for_ids(Run const& run, std::optional<std::int64_t> command_id) {
  auto& targets = run.result.targets;
  std::vector<std::vector<store::Enrollment>> named;
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    named.push_back(store::enrollments_with_id(run.db, targets[i].id));
    if (named.back().empty()) targets[i].error = "no enrolment has this id";
    for (auto const& row : named.back()) {
      for (auto& delivery : store::list_outstanding(run.db, of_enrollment(row.id, command_id)))
        candidates.push_back({std::move(delivery), i});
    }
  }
  change_in_batches(run, candidates);
  if (!command_id) return;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].changed == 0 && !named[i].empty()) targets[i].error = why_not(run, named[i], *command_id);
  }
}

std::optional<std::int64_t> wanted_command(sys::Db& db, QueueOrder const& order) {
  if (!order.command_uuid) {
    if (order.ids.empty()) throw sys::Error(sys::Fault::bad_request, "queue: name a command or enrolments");
    return std::nullopt;
  }
  auto const command = store::find_command(db, *order.command_uuid);
  if (command) return command->id;
  throw sys::Error(sys::Fault::not_found, "command " + *order.command_uuid +
                                              ": there is none; `pomona command list` shows those there are");
}

QueueChange carry_out(sys::Db& db, QueueOrder const& order, Action const& action, sys::Time now) {
  auto const command_id = wanted_command(db, order);
  QueueChange result;
  std::set<std::string_view> seen;
  for (auto const& id : order.ids) {
    if (seen.insert(id).second) result.targets.push_back({id});
  }
  Run const run{db, order, action, now, result};
  if (result.targets.empty()) {
    change_everywhere(run, *command_id);
  } else {
    change_for_ids(run, command_id);
  }
  return result;
}

}  // namespace

bool QueueChange::failed() const noexcept {
  return std::any_of(targets.begin(), targets.end(),
                     [](QueueTarget const& target) { return target.error.has_value(); });
}

store::OutstandingCount count(sys::Db& db, QueueOrder const& order, Which which) {
  auto const command_id = wanted_command(db, order);
  store::OutstandingFilter filter;
  filter.command_id = command_id;
  filter.held_only = which == Which::held;
  if (order.ids.empty()) return store::count_outstanding(db, filter);
  store::OutstandingCount sum;
  for (auto const& id : std::set<std::string>(order.ids.begin(), order.ids.end())) {
    for (auto const& row : store::enrollments_with_id(db, id)) {
      filter.enrollment_id = row.id;
      auto const one = store::count_outstanding(db, filter);
      sum.deliveries += one.deliveries;
      sum.enrollments += one.enrollments;
    }
  }
  return sum;
}

QueueChange cancel(sys::Db& db, QueueOrder const& order, sys::Time now) {
  auto const change = [&](Outstanding const& delivery) {
    if (!store::cancel_delivery(db, delivery, order.who, now)) return false;
    if (delivery.renews) store::close_renewal_tickets(db, delivery.enrollment_id);
    return true;
  };
  return carry_out(db, order, {"command.cancelled", "", change, true}, now);
}

QueueChange hold(sys::Db& db, QueueOrder const& order, sys::Time now) {
  auto const change = [&](Outstanding const& delivery) { return store::hold_delivery(db, delivery); };
  return carry_out(db, order, {"command.held", "", change}, now);
}

QueueChange release(sys::Db& db, QueueOrder const& order, sys::Time now) {
  auto const change = [&](Outstanding const& delivery) {
    if (!store::release_delivery(db, delivery)) return false;
    if (order.push) store::mark_push_due(db, delivery.enrollment_id, now);
    return true;
  };
  return carry_out(db, order, {"command.released", "", change}, now);
}

QueueChange set_priority(sys::Db& db, QueueOrder const& order, int priority, sys::Time now) {
  if (priority < 0 || priority > 255)
    throw sys::Error(sys::Fault::bad_request, "priority: a number from 0 to 255 is needed");
  auto const change = [&](Outstanding const& delivery) {
    return store::set_priority(db, delivery, priority);
  };
  return carry_out(db, order, {"command.priority", ": " + std::to_string(priority), change}, now);
}

}  // namespace service
