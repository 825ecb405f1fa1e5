// pomona-push: tells devices, through Apple's push service, to ask for their commands.
//
// SECURITY. Started by cron, a timer or a service as the Unix user pomona-push; it listens on nothing. It
// reads key-dir/push.key and with it the private keys of push certificates, no other domain. In the database
// it reads enrollments and push certificates, writes push_state, and adds events. It trusts Apple's service
// as far as the system's CA bundle (or push-ca-file) does, and believes of its answers only what concerns the
// push that they answer: no share of answers, however wrong, can disable a fleet (docs/data-and-trust.md
// section 9). Push tokens and PushMagic were sent by devices and are never logged.
//
// Runs may overlap, and may be killed at any point. With --forever it is a service: a database or an APNs
// that is away is waited for, and only SIGTERM ends it.
//
// Exit codes: 0 done, 1 a topic was stopped or could not begin, 2 usage, 3 not configured, 75 database or
// APNs away. Silent on success.
#include "service/push.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

#include "service/program.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"
#include "sys/log.hpp"
#include "sys/stop_signal.hpp"

namespace {

using std::chrono::steady_clock;

using std::chrono::milliseconds;

// How often it looks whether the rounds under way have ended.
constexpr milliseconds kCollect{20};
// Looking for due pushes may take this share of the time at most.
constexpr int kLookShare = 10;
// What stays wrong is told again after this time.
constexpr std::chrono::hours kTellAgain{1};
constexpr milliseconds kFirstPause{1000};
constexpr milliseconds kLongestPause{30'000};
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

// The rounds of one run. What stays wrong is told once an hour, not five times a second.
class Run {
 public:
  Run(service::Config const& config, bool verbose)
      : db_(service::open_database(config, service::Patience::round)),
        pusher_(config, sys::KeyRing::from_file(config.key_dir, "push"), "pomona-push",
                {[&config] { return service::open_database(config, service::Patience::round); },
                 sys::current_time, [verbose](service::PushedItem const& item) { log_item(item, verbose); },
                 [this] { return !stopping_; }}) {
    store::check_schema(db_);
  }

  int once() {
    bool more = true;
    while (more && !stopping_) {
      more = begin();
      finish();
    }
    return exit_code();
  }

  int lasting(sys::seconds span) {
    auto const end = steady_clock::now() + span;
    while (!stopping_ && steady_clock::now() < end) {
      auto const pause = look();
      stopping_ = stop_.wait(std::min(pause, std::chrono::ceil<milliseconds>(end - steady_clock::now())));
    }
    finish();
    return exit_code();
  }

  // Until SIGTERM.
  int lasting() {
    while (!stopping_) stopping_ = stop_.wait(look_patiently());
    while (pusher_.busy()) {
      try {
        finish();
      } catch (sys::Error const& error) {
        sys::LogLine("push.trouble").add("error", error.what()).write();
      }
    }
    return 0;
  }

 private:
  // Whether topics are left.
  bool begin() {
    service::PushRound round;
    bool const more = pusher_.begin(db_, round);
    note(round);
    return more;
  }

  void collect() {
    service::PushRound round;
    pusher_.collect(round);
    note(round);
  }

  // What is under way is waited for; asked to stop, no more is claimed.
  void finish() {
    while (pusher_.busy()) {
      stopping_ = stop_.wait(kCollect) || stopping_;
      collect();
    }
    collect();
  }

  // Returns after which time to look again.
  milliseconds look() {
    auto const before = steady_clock::now();
    begin();
    auto const cost = std::chrono::ceil<milliseconds>(steady_clock::now() - before);
    collect();
    return std::max(service::kPushLook, cost * kLookShare);
  }

  milliseconds look_patiently() {
    try {
      auto const pause = look();
      if (pause_ > kFirstPause) sys::LogLine("push.trouble-over").write();
      pause_ = kFirstPause;
      return pause;
    } catch (sys::Error const& error) {
      if (error.fault() != sys::Fault::unavailable) throw;
      tell("push.trouble", "error", error.what());
      return std::exchange(pause_, std::min(pause_ * 2, kLongestPause));
    }
  }

  void note(service::PushRound const& round) {
    failed_ = failed_ || round.failed;
    if (round.sent > 0) unreachable_ = round.unreachable;  // the latest word
    for (auto const& problem : round.problems) tell("push.problem", "problem", problem);
  }

  void tell(char const* event, char const* key, std::string const& text) {
    auto const now = steady_clock::now();
    auto const [told, first] = told_.try_emplace(text, now);
    if (!first && now - told->second < kTellAgain) return;
    told->second = now;
    sys::LogLine(event).add(key, text).write();
    constexpr std::size_t kMost = 1000;
    if (told_.size() > kMost) told_.clear();
  }

  [[nodiscard]] int exit_code() const {
    if (failed_) return 1;
    return unreachable_ ? kTryAgainLater : 0;
  }

  sys::StopSignal stop_;
  std::atomic<bool> stopping_ = false;
  std::map<std::string, steady_clock::time_point> told_;
  milliseconds pause_ = kFirstPause;
  bool failed_ = false;
  bool unreachable_ = false;
  sys::Db db_;
  service::Pusher pusher_;  // its threads end before what they use
};

int refuse(char const* why) {
  std::fprintf(stderr, "pomona-push: %s\n", why);
  return kUsage;
}

int run(service::Config const& config, sys::ParsedOptions const& options) {
  bool const forever = options.has("forever");
  std::optional<sys::seconds> span;
  if (options.has("for")) {
    span = sys::parse_duration(options.get("for"));
    if (!span) return refuse("--for: a duration like 65s or 10m is needed");
    if (forever) return refuse("--for and --forever exclude each other");
  }
  Run run(config, options.has("verbose"));
  if (forever) return run.lasting();
  return span ? run.lasting(*span) : run.once();
}

}  // namespace

int main(int argc, char** argv) {
  service::ProgramSpec spec{"pomona-push",
                            "push what is due to Apple's push service: once, for a time, or as a service"};
  spec.command_line = {{"for", "go on for so long, looking for due pushes five times a second", "TIME", ""},
                       {"forever", "go on until SIGTERM, whatever is away: for a service", "", ""},
                       {"verbose", "log accepted pushes too", "", ""}};
  return service::run_program(spec, argc, argv, run);
}
