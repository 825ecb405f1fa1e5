// Many devices at once: each with its own keys, connections and state, driven by a few threads.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <mutex>
#include <thread>

#include <sys/resource.h>

#include "bytes.hpp"
#include "mdm.hpp"
#include "options.hpp"
#include "session.hpp"
#include "statistics.hpp"

namespace device {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Member {
  Device device;
  Samples samples;
  std::unique_ptr<Http> http;
  long commands = 0;
};

// A device with an open connection each needs more descriptors than a shell allows at first.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string without(std::string text, const std::string& word) {
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word))
    text.replace(at, word.size(), "…");
  return text;
}

class Fleet {
 public:
  explicit Fleet(const Options& options) : options_(options), keys_(options.keys) {
    if (!options.ca_file.empty()) system_trust_ = read_file(options.ca_file);
    options.idle_only ? load() : make();
  }

  int run() {
    if (!options_.idle_only)
      stage("enrol", {"enrol", "profile", "scep", "checkin"}, [this](Member& member) { enrol_one(member); });
    for (int round = 1; round <= options_.rounds; ++round)
      stage("round " + std::to_string(round), {"session", "idle", "report"},
            [this](Member& member) { visit_one(member); });
    return finish();
  }

 private:
  void make() {
    for (int i = 0; i < options_.count; ++i) {
      auto member = std::make_unique<Member>();
      member->device = new_device(kind_from(options_.kind), "", "");
      if (!options_.state.empty()) member->device.folder = fs::path(options_.state) / member->device.udid;
      member->device.signature_form = signature_form_from(options_.signature_form);
      member->device.client_certificate = !options_.no_client_certificate;
      member->device.awaiting_configuration = options_.awaiting;
      member->device.system_trust = system_trust_;
      members_.push_back(std::move(member));
    }
  }

  void load() {
    for (const auto& entry : fs::directory_iterator(options_.state)) {
      if (!has_device(entry.path())) continue;
      auto member = std::make_unique<Member>();
      member->device = load_device(entry.path());
      members_.push_back(std::move(member));
      if (options_.count > 0 && members_.size() == static_cast<std::size_t>(options_.count)) return;
    }
    if (members_.empty()) throw Error("no device in " + options_.state + "; make some without --idle-only");
  }

  // Runs one piece of work for every member, on all threads, and waits for the last.
  template <class Work>
  void stage(const std::string& name, const std::vector<std::string>& phases, const Work& work) {
    const auto start = Clock::now();
    const long failures_before = statistics_.failures();
    std::atomic<std::size_t> next = 0;
    std::vector<std::thread> threads;
    threads.reserve(static_cast<std::size_t>(options_.parallel));
    for (int i = 0; i < options_.parallel; ++i)
      threads.emplace_back([&] {
        for (std::size_t at = next++; at < members_.size(); at = next++)
          guarded(*members_[at], work, phases[0]);
      });
    for (std::thread& thread : threads) thread.join();
    const double seconds = since(start);
    for (const std::string& phase : phases) statistics_.took(phase, seconds);
    if (!options_.json)
      std::cout << std::fixed << std::setprecision(1) << name << ": " << members_.size() << " devices in "
                << seconds << " s, " << statistics_.failures() - failures_before << " failed" << std::endl;
  }

  template <class Work>
  void guarded(Member& member, const Work& work, const std::string& phase) {
    const auto start = Clock::now();
    bool ok = true;
    try {
      work(member);
    } catch (const std::exception& error) {
      ok = false;
      const std::lock_guard lock(mutex_);
      statistics_.failure(without(error.what(), member.device.udid));
    }
    member.samples.push_back({phase, since(start), ok});
    if (!options_.keep_alive) member.http.reset();
  }

  Http& http_of(Member& member) {
    if (!member.http) member.http = std::make_unique<Http>(member.device.trust(), &member.samples);
    return *member.http;
  }

  void enrol_one(Member& member) {
    Http& http = http_of(member);
    Context context{member.device, http, keys_, silent_, static_cast<std::size_t>(options_.scep_segment)};
    enrol(context, fetch_profile(http, options_.url, scep_user_agent(member.device.kind)), options_.user);
  }

  void visit_one(Member& member) {
    if (!member.device.enrolled) return;  // its failure was counted when it happened
    Context context{member.device, http_of(member), keys_, silent_,
                    static_cast<std::size_t>(options_.scep_segment)};
    const auto handled = hold_session(context, member.device.channel, whims_);
    member.commands += static_cast<long>(handled.size());
  }

  int finish() {
    long enrolled = 0;
    long commands = 0;
    for (const auto& member : members_) {
      statistics_.add(member->samples);
      enrolled += member->device.enrolled ? 1 : 0;
      commands += member->commands;
    }
    if (options_.json) {
      std::cout << R"({"devices":)" << members_.size() << R"(,"enrolled":)" << enrolled << R"(,"commands":)"
                << commands << R"(,"failures":)" << statistics_.failures() << ',';
      statistics_.print_json(std::cout);
      std::cout << '}' << std::endl;
    } else {
      std::cout << enrolled << " of " << members_.size() << " devices are enrolled, " << commands
                << " commands answered\n";
      statistics_.print_table(std::cout);
    }
    return statistics_.failures() == 0 ? 0 : 1;
  }

  const Options& options_;
  KeyPool keys_;
  std::string system_trust_;
  std::vector<std::unique_ptr<Member>> members_;
  std::mutex mutex_;  // guards statistics_ while a stage runs
  Statistics statistics_;
  const Say silent_ = [](const std::string&) {};
  const Whims whims_{
      {options_.not_now.begin(), options_.not_now.end()}, {options_.error.begin(), options_.error.end()}, {}};
};

}  // namespace

int fleet_command(const Options& options) {
  raise_descriptor_limit();
  return Fleet(options).run();
}

}  // namespace device
