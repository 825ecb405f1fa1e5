// A fleet of lives (life.hpp): many devices on a few threads, each when its time comes or a push calls it.
// SIGTERM or SIGINT ends the moods; the fleet then finishes what was begun and leaves, with 0 when every
// device was done within --timeout seconds.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <queue>
#include <thread>

#include "bytes.hpp"
#include "json.hpp"
#include "life.hpp"
#include "options.hpp"

namespace device {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

constexpr Moods lively{.not_now = 0.08,
                       .error = 0.08,
                       .repeat = 0.05,
                       .abandon = 0.05,
                       .enrol = 0.01,
                       .leave = 0.005,
                       .other_key = 0.1,
                       .quiet = 0.3};

const std::map<std::string, double Moods::*> mood_names{
    {"not-now", &Moods::not_now},     {"error", &Moods::error}, {"repeat", &Moods::repeat},
    {"abandon", &Moods::abandon},     {"enrol", &Moods::enrol}, {"leave", &Moods::leave},
    {"other-key", &Moods::other_key}, {"quiet", &Moods::quiet}};

// The lively ones, or none where it is calm; then what --mood NAME=NUMBER says.
Moods moods_of(const Options& options) {
  Moods moods = options.calm ? Moods{} : lively;
  for (const std::string& word : options.moods) {
    const std::size_t equals = word.find('=');
    const auto found = mood_names.find(word.substr(0, equals));
    if (equals == std::string::npos || found == mood_names.end())
      throw Error("--mood " + word + ": NAME=NUMBER is needed, with one of the names in life.hpp");
    moods.*found->second = std::stod(word.substr(equals + 1));
  }
  return moods;
}

std::atomic<bool> asked_to_end = false;

void watch_signals() {
  for (const int number : {SIGTERM, SIGINT}) std::signal(number, [](int) { asked_to_end = true; });
}

Clock::time_point in(double seconds) {
  return Clock::now() + duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

class Schedule {
 public:
  explicit Schedule(std::size_t count, double spread, std::uint64_t seed)
      : due_(count), busy_(count), called_(count) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> within(0, spread);
    for (auto& time : due_) time = in(within(random));
  }

  // The next life to go on; nothing: all are done, or time is up.
  std::optional<std::size_t> next(const std::atomic<bool>& over) {
    std::unique_lock lock(mutex_);
    while (!over) {
      const auto soonest = pick();
      if (!soonest && finished_ == due_.size()) return std::nullopt;
      const auto now = Clock::now();
      if (soonest && due_[*soonest] <= now) {
        busy_[*soonest] = true;
        return soonest;
      }
      const auto wake = now + milliseconds(200);
      changed_.wait_until(lock, soonest ? std::min(due_[*soonest], wake) : wake);
    }
    return std::nullopt;
  }

  void again(std::size_t index, double seconds) {
    const std::lock_guard lock(mutex_);
    busy_[index] = false;
    due_[index] = called_[index] ? Clock::now() : in(seconds);
    called_[index] = false;
    changed_.notify_one();
  }

  void done(std::size_t index) {
    const std::lock_guard lock(mutex_);
    busy_[index] = true;  // for ever
    ++finished_;
    changed_.notify_all();
  }

  void call(std::size_t index) {
    const std::lock_guard lock(mutex_);
    due_[index] = std::min(due_[index], Clock::now());
    if (busy_[index]) called_[index] = true;  // it may have had its last answer already
    changed_.notify_one();
  }

  bool all_done() {
    const std::lock_guard lock(mutex_);
    return finished_ == due_.size();
  }

  void call_all(double spread) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < due_.size(); ++i)
      due_[i] = std::min(due_[i], in(spread * static_cast<double>(i) / static_cast<double>(due_.size())));
    changed_.notify_all();
  }

 private:
  std::optional<std::size_t> pick() const {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < due_.size(); ++i)
      if (!busy_[i] && (!best || due_[i] < due_[*best])) best = i;
    return best;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Clock::time_point> due_;
  std::vector<bool> busy_;
  std::vector<bool> called_;
  std::size_t finished_ = 0;
};

// Follows the APNs stand-in's log and calls the devices that were pushed.
class PushReader {
 public:
  PushReader(const std::string& file, const std::vector<std::unique_ptr<Life>>& lives) : log_(file) {
    for (std::size_t i = 0; i < lives.size(); ++i) by_token_[hex(lives[i]->device().channel.token)] = i;
  }
  void read(Schedule& schedule) {
    if (!log_.is_open()) return;
    log_.clear();
    for (std::string line; std::getline(log_, line);) {
      if (log_.eof()) {  // the rest of it is still being written
        log_.clear();
        log_.seekg(-static_cast<std::streamoff>(line.size()), std::ios::cur);
        return;
      }
      const auto push = read_push(line);
      const auto found = push ? by_token_.find(push->token) : by_token_.end();
      if (found != by_token_.end()) schedule.call(found->second);
    }
  }

 private:
  std::ifstream log_;
  std::map<std::string, std::size_t> by_token_;
};

std::vector<std::unique_ptr<Life>> make_lives(World& world, const Options& options) {
  std::vector<std::unique_ptr<Life>> lives;
  const std::string trust = options.ca_file.empty() ? "" : read_file(options.ca_file);
  for (int i = 0; i < options.count; ++i) {
    Device device = new_device(kind_from(options.kind), options.count == 1 ? options.udid : "", "");
    device.system_trust = trust;
    device.channel.token = random_bytes(32);
    lives.push_back(std::make_unique<Life>(world, std::move(device),
                                           options.seed * 1000003 + static_cast<std::uint64_t>(i)));
    if (options.check_out) lives.back()->check_out_at_end();
  }
  return lives;
}

void run_lives(World& world, std::vector<std::unique_ptr<Life>>& lives, const Options& options) {
  std::atomic<bool> over = false;
  Schedule schedule(lives.size(), std::min(options.every, 5.0), options.seed);
  const auto work = [&] {
    while (const auto index = schedule.next(over)) {
      const double wanted = lives[*index]->live();
      lives[*index]->done() ? schedule.done(*index) : schedule.again(*index, wanted);
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(options.parallel));
  for (int i = 0; i < options.parallel; ++i) threads.emplace_back(work);
  PushReader pushes(options.apns_log, lives);
  while (!asked_to_end) {
    pushes.read(schedule);
    std::this_thread::sleep_for(milliseconds(100));
  }
  world.ending = true;
  schedule.call_all(static_cast<double>(lives.size()) / 50);
  const auto deadline = Clock::now() + std::chrono::seconds(options.timeout);
  while (!schedule.all_done() && Clock::now() < deadline) std::this_thread::sleep_for(milliseconds(50));
  over = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

int live_command(const Options& options) {
  watch_signals();
  KeyPool keys(options.keys);
  Journal journal(options.journal);
  World world{options.url, keys, journal, moods_of(options), options.every};
  auto lives = make_lives(world, options);
  run_lives(world, lives, options);
  std::size_t done = 0;
  for (const auto& life : lives) {
    life->tell_end();
    if (life->done()) ++done;
    if (!life->done()) std::cerr << life->device().label() << " is not done: " << life->stage_name() << '\n';
  }
  std::cout << done << " of " << lives.size() << " devices are done\n";
  return done == lives.size() ? 0 : 1;
}

}  // namespace device
