// pomona-push: tells devices, through Apple's push service, to ask for their commands.
//
// SECURITY. Started by cron, a timer or a service as the Unix user pomona-push; it listens on nothing. It
// reads key-dir/push.key and with it the private keys of push certificates, no other domain. In the database
// it reads enrollments and push certificates, writes push_state, and adds events. It trusts Apple's service
// as far as the system's CA bundle (or push-ca-file) does, and believes of its answers only what concerns the
// push that they answer: no share of answers, however wrong, can disable a fleet (docs/data-and-trust.md
// section 9). Push tokens and PushMagic were sent by devices and are never logged.
//
// Exit codes: 0 done, 1 a topic was stopped or could not begin, 2 usage, 3 not configured, 75 database or
// APNs away. Silent on success.
#include "service/push.hpp"

#include <chrono>
#include <cstdio>
#include <set>

#include "service/program.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"
#include "sys/log.hpp"
#include "sys/stop_signal.hpp"

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenRounds{1000};
constexpr int kUsage = 2;
constexpr int kTryAgainLater = 75;

void log_item(service::PushedItem const& item, bool verbose) {
  if (!verbose && item.answer.verdict == proto::ApnsVerdict::accepted) return;
  sys::LogLine line("push");
  line.add("enrollment", item.external_id)
      .add("topic", item.topic)
      .add("verdict", proto::apns_verdict_name(item.answer.verdict))
      .add("status", static_cast<long long>(item.answer.status));
  if (!item.answer.reason.empty()) line.add("reason", item.answer.reason);
  if (!item.answer.apns_id.empty()) line.add("apns_id", item.answer.apns_id);
  line.write();
}

// The rounds of one run. What stays wrong is told once, not once a second.
class Run {
 public:
  Run(service::Config const& config, bool verbose)
      : db_(service::open_database(config, service::Patience::round)),
        pusher_(config, sys::SealKey::from_file(config.key_dir, "push"), "pomona-push",
                [verbose](service::PushedItem const& item) { log_item(item, verbose); }) {
    store::check_schema(db_);
  }

  // `span` nullopt: one round.
  int go(std::optional<sys::seconds> span) {
    auto const end = steady_clock::now() + span.value_or(sys::seconds(0));
    auto const may_claim = [&] { return !stop_.requested() && (!span || steady_clock::now() < end); };
    do {
      note(pusher_.round(db_, sys::current_time(), may_claim));
    } while (span && steady_clock::now() + kBetweenRounds < end && !stop_.wait(kBetweenRounds));
    if (failed_) return 1;
    return unreachable_ ? kTryAgainLater : 0;
  }

 private:
  void note(service::PushRound const& round) {
    failed_ = failed_ || round.failed;
    if (round.sent > 0) unreachable_ = round.unreachable;  // the latest word
    for (auto const& problem : round.problems) {
      if (told_.insert(problem).second) sys::LogLine("push.problem").add("problem", problem).write();
    }
  }

  sys::StopSignal stop_;
  sys::Db db_;
  service::Pusher pusher_;
  std::set<std::string> told_;
  bool failed_ = false;
  bool unreachable_ = false;
};

int run(service::Config const& config, sys::ParsedOptions const& options) {
  std::optional<sys::seconds> span;
  if (options.has("for")) {
    span = sys::parse_duration(options.get("for"));
    if (!span) {
      std::fputs("pomona-push: --for: a duration like 65s or 10m is needed\n", stderr);
      return kUsage;
    }
  }
  return Run(config, options.has("verbose")).go(span);
}

}  // namespace

int main(int argc, char** argv) {
  service::ProgramSpec spec{"pomona-push", "push what is due to Apple's push service, once"};
  spec.command_line = {{"for", "go on for so long, looking for due pushes every second", "TIME", ""},
                       {"verbose", "log accepted pushes too", "", ""}};
  return service::run_program(spec, argc, argv, run);
}
