// `pomona push`: wake devices by hand.
#include "service/push.hpp"

#include <map>

#include "nouns.hpp"
#include "store/push.hpp"
#include "sys/error.hpp"
#include "sys/log.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

struct Line {
  std::string id;
  std::string result;  // sent, queued, not-found, ..., or APNs' verdict
  std::string detail = {};
  std::int64_t status = 0;
  std::string apns_id = {};
};

// Why an enrolment cannot be pushed to; "" when it can.
std::string obstacle(store::PushTarget const& target) {
  if (target.state != "current") return "its state is " + target.state;
  if (target.frozen) return "it is frozen by an identity conflict; see `pomona enrollment resolve`";
  if (!target.has_token) return "it has not sent a TokenUpdate yet";
  return "";
}

std::vector<std::string> ids_of(Context& context) {
  std::vector<std::string> ids;
  for (auto const& argument : context.arguments()) {
    for (auto const part : sys::split(argument, ',')) {
      auto const id = sys::trim(part);
      if (!id.empty()) ids.emplace_back(id);
    }
  }
  if (ids.empty()) context.usage("which enrolments? Give ids, as `pomona enrollment list` shows them");
  return ids;
}

std::vector<store::PushTarget> find_targets(Context& context, std::vector<Line>& lines) {
  std::vector<store::PushTarget> targets;
  for (auto const& id : ids_of(context)) {
    auto target = store::find_push_target(context.db(), id);
    if (!target) {
      lines.push_back({id, "not-found", "no enrolment has this id now"});
      continue;
    }
    std::string const why = obstacle(*target);
    if (why.empty()) {
      targets.push_back(std::move(*target));
    } else {
      lines.push_back({id, "not-ready", why});
    }
  }
  return targets;
}

void push_all(Context& context, std::vector<store::PushTarget> const& targets, std::vector<Line>& lines) {
  std::map<std::string, Line> answers;
  auto const tell = [&](service::PushedItem const& item) {
    auto const& answer = item.answer;
    answers[item.external_id] = {item.external_id, proto::apns_verdict_name(answer.verdict), answer.reason,
                                 answer.status, answer.apns_id};
  };
  service::Pusher pusher(context.config(), context.key("push"), context.who(),
                         {{}, [&context] { return context.now(); }, tell});
  auto const round = pusher.push_now(context.db(), targets);
  for (auto const& problem : round.problems) sys::LogLine("push.problem").add("problem", problem).write();
  for (auto const& target : targets) {
    auto const answer = answers.find(target.external_id);
    if (answer != answers.end()) {
      lines.push_back(answer->second);
    } else if (round.problems.empty()) {
      lines.push_back(
          {target.external_id, "queued", "pomona-push is at it at this moment, and will push it again"});
    } else {
      lines.push_back({target.external_id, "queued", "not sent; pomona-push will try"});
    }
  }
}

int print(Context& context, std::vector<Line> const& lines, bool sending) {
  Table table{{{"id", "ID"},
               {"result", "RESULT"},
               {"status", "STATUS", true},
               {"reason", "REASON"},
               {"apns_id", "APNS-ID"}},
              {},
              "Nothing to push."};
  bool good = true;
  for (auto const& line : lines) {
    good = good && line.result == (sending ? "accepted" : "queued");
    table.rows.push_back({line.id, line.result, line.status == 0 ? Value() : Value(line.status),
                          line.detail.empty() ? Value() : Value(line.detail),
                          line.apns_id.empty() ? Value() : Value(line.apns_id)});
  }
  context.out().table(table);
  return good ? 0 : 1;
}

int run_send(Context& context) {
  std::vector<Line> lines;
  bool const sending = !context.has("queue-only");
  auto const targets = find_targets(context, lines);
  context.db().transaction([&] {
    for (auto const& target : targets)
      store::mark_push_due(context.db(), target.enrollment_id, context.now());
  });
  if (sending) {
    if (!targets.empty()) push_all(context, targets, lines);
  } else {
    for (auto const& target : targets) lines.push_back({target.external_id, "queued"});
  }
  return print(context, lines, sending);
}

}  // namespace

Noun push_noun() {
  Verb send{
      "send",  "wake devices now and show what Apple's push service answers", "ID[,ID...]", 1, kAnyNumber, {},
      run_send};
  send.options = {{"queue-only", "leave the sending to pomona-push's next round", "", ""}};
  send.details =
      "A push only tells the device to ask for its commands; an accepted push is not a delivered one. "
      "Devices "
      "whose token\nAPNs called dead are tried all the same. Exit code 1 when any push was not accepted.";
  return {"push", "wake devices", {send}};
}

}  // namespace admin
