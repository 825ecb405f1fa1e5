#include "service/enqueue.hpp"

#include <algorithm>
#include <set>

#include "proto/command.hpp"
#include "store/commands.hpp"
#include "store/enrollments.hpp"
#include "store/events.hpp"
#include "store/push.hpp"
#include "store/queue.hpp"
#include "store/queue_admin.hpp"
#include "store/results.hpp"
#include "sys/crash_point.hpp"
#include "sys/error.hpp"

namespace service {

namespace {

// Rows that one transaction writes: a cluster certifies a write set as a whole.
constexpr std::size_t kBatch = 1000;

std::string why_not_current(sys::Db& db, std::string const& id) {
  auto const all = store::enrollments_with_id(db, id);
  if (all.empty()) return "no enrolment has this id";
  auto const state = all.front().state;
  if (state == store::EnrollmentState::pending) return "the enrolment waits for approval";
  return "the enrolment is " + std::string(store::enrollment_state_name(state));
}

// Why not, or nullopt: it is in the queue.
std::optional<std::string> deliver_to(sys::Db& db, std::int64_t enrollment_id, std::int64_t command_id,
                                      EnqueueRequest const& request, sys::Time now) {
  if (!store::add_to_queue(db, {enrollment_id, command_id, request.priority, request.held}, now))
    return std::nullopt;
  // Asked after the insert, which waits for whoever is settling a delivery of this command: asked before, it
  // could settle in between, and the device would be given the command a second time.
  if (auto const status = store::settled_status(db, enrollment_id, command_id)) {
    store::drop_delivery(db, enrollment_id, command_id);
    return std::string(*status == store::kCancelled ? "the command was cancelled for it"
                                                    : "it has answered this command already") +
           "; a command that is to run again needs a new CommandUUID";
  }
  if (request.push && !request.held) store::mark_push_due(db, enrollment_id, now);
  return std::nullopt;
}

struct Batch {
  sys::Db& db;
  sys::KeyRing const& message_key;
  EnqueueRequest const& request;
  proto::Command const& command;
  sys::Time now;
};

// Inside a transaction. A command that is for nobody is not kept.
void enqueue_batch(Batch const& batch, EnqueueTarget* first, EnqueueTarget* last) {
  std::optional<std::int64_t> command_id;
  for (auto* target = first; target != last; ++target) {
    auto const enrollment = store::find_current(batch.db, target->id);
    if (!enrollment) {
      target->error = why_not_current(batch.db, target->id);
      continue;
    }
    if (!command_id) {
      command_id = store::keep_command(batch.db, batch.message_key, batch.command, batch.request.plist,
                                       batch.request.who, batch.now);
    }
    target->error = deliver_to(batch.db, enrollment->id, *command_id, batch.request, batch.now);
  }
}

void record(sys::Db& db, EnqueueRequest const& request, EnqueueResult const& result, sys::Time now) {
  std::size_t const queued = result.targets.size() - result.failed();
  if (queued == 0) return;
  store::Event event{"command.enqueued", request.who};
  if (result.targets.size() == 1) event.external_id = result.targets.front().id;
  event.command_uuid = result.command_uuid;
  event.detail =
      result.request_type + " for " + std::to_string(queued) + " enrolments" + (request.held ? ", held" : "");
  store::record_event(db, event, now);
}

std::vector<EnqueueTarget> unique_targets(std::vector<std::string> const& ids) {
  std::vector<EnqueueTarget> targets;
  std::set<std::string_view> seen;
  for (auto const& id : ids) {
    if (seen.insert(id).second) targets.push_back({id});
  }
  return targets;
}

}  // namespace

std::size_t EnqueueResult::failed() const noexcept {
  return static_cast<std::size_t>(std::count_if(targets.begin(), targets.end(),
                                                [](EnqueueTarget const& target) { return target.error; }));
}

EnqueueResult enqueue(sys::Db& db, sys::KeyRing const& message_key, EnqueueRequest const& request,
                      sys::Time now) {
  if (request.priority < 0 || request.priority > 255)
    throw sys::Error(sys::Fault::bad_request, "enqueue: a priority from 0 to 255 is needed");
  auto const command = proto::check_command(request.plist);
  EnqueueResult result{command.uuid, command.request_type, unique_targets(request.ids)};
  Batch const batch{db, message_key, request, command, now};
  auto& targets = result.targets;
  for (std::size_t from = 0; from < targets.size(); from += kBatch) {
    std::size_t const to = std::min(targets.size(), from + kBatch);
    db.transaction([&] {
      enqueue_batch(batch, targets.data() + from, targets.data() + to);
      if (to == targets.size()) record(db, request, result, now);
      sys::crash_point("enqueue-written");
    });
    sys::crash_point("enqueue-committed");
  }
  return result;
}

}  // namespace service
