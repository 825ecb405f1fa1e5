#include "load_run.hpp"

#include <array>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <stdexcept>

#include <sys/epoll.h>
#include <unistd.h>

#include "load_connection.hpp"

namespace bench {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double own_cpu() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Seconds on a processor so far, of all threads; the kernel counts in nanoseconds.
double cpu_of(const std::vector<int>& pids) {
  double seconds = 0;
  std::error_code gone;
  for (const int pid : pids)
    for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
      std::ifstream in(task.path() / "schedstat");
      double nanoseconds = 0;
      if (in >> nanoseconds) seconds += nanoseconds * 1e-9;
    }
  return seconds;
}

std::map<std::string, double> cpu_of(const Plan& plan) {
  std::map<std::string, double> all;
  for (const auto& [name, pids] : plan.processes) all[name] = cpu_of(pids);
  return all;
}

std::string_view command_uuid(std::string_view body) {
  const std::size_t key = body.find("<key>CommandUUID</key>");
  const std::size_t start = key == std::string_view::npos ? key : body.find("<string>", key);
  if (start == std::string_view::npos) return {};
  return body.substr(start + 8, body.find('<', start + 8) - start - 8);
}

struct Client {
  const ConnectionPlan* plan = nullptr;
  Context context;
  std::unique_ptr<Connection> connection;
  std::map<std::string, std::size_t> next;  // by contestant
  std::string following;                    // the request that names the command just received
  Clock::time_point sent;
};

class Runner {
 public:
  explicit Runner(const Plan& plan) : plan_(plan), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (const ConnectionPlan& one : plan.connections) {
      Client client;
      client.plan = &one;
      if (!plan.trust.empty()) client.context = make_context(plan.trust, one.certificate, one.key);
      client.connection = std::make_unique<Connection>(plan.address, plan.port, client.context.get());
      clients_.push_back(std::move(client));
    }
    for (std::size_t i = 0; i < clients_.size(); ++i) watch(i);
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner() { ::close(epoll_); }

  Outcome slice(const SlicePlan& slice) {
    slice_ = &slice;
    outcome_ = {};
    outcome_.contestant = slice.contestant;
    started_ = Clock::now();
    const double own = own_cpu();
    const auto before = cpu_of(plan_);
    for (std::size_t i = 0; i < clients_.size(); ++i) send_next(i, {});
    while (under_way_ > 0) wait();
    outcome_.seconds = since(started_);
    outcome_.generator_cpu = own_cpu() - own;
    for (const auto& [name, seconds] : cpu_of(plan_)) outcome_.cpu[name] = seconds - before.at(name);
    return std::move(outcome_);
  }

 private:
  void watch(std::size_t number) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u64 = number;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, clients_[number].connection->fd(), &event);
  }

  // Null: nothing is left for this connection in this slice.
  const std::string* next_request(Client& client, std::string_view answer) {
    if (slice_->requests > 0 && outcome_.requests + under_way_ >= slice_->requests) return nullptr;
    if (slice_->seconds > 0 && since(started_) >= slice_->seconds) return nullptr;
    std::size_t& next = client.next[slice_->contestant];
    if (const auto pool = plan_.pools.find(slice_->contestant); pool != plan_.pools.end()) {
      const std::size_t at = pool_next_[slice_->contestant]++;
      return at < pool->second.size() ? &pool->second[at] : nullptr;
    }
    const auto script = client.plan->scripts.find(slice_->contestant);
    if (script == client.plan->scripts.end()) return nullptr;
    const Requests& requests = script->second.requests;
    if (!script->second.follow) return &requests[next++ % requests.size()];
    if (client.following.empty()) {
      client.following = requests[1];
      return requests.data();
    }
    const std::string_view uuid = command_uuid(answer);
    if (uuid.size() != 36) {
      client.following.clear();
      return nullptr;
    }
    client.following = requests[1];
    client.following.replace(client.following.find(std::string(36, '@')), 36, uuid);
    return &client.following;
  }

  void send_next(std::size_t number, std::string_view answer) {
    Client& client = clients_[number];
    const std::string* request = next_request(client, answer);
    if (request == nullptr) return;
    ++under_way_;
    client.sent = Clock::now();
    client.connection->send(*request);
    if (client.connection->reopened()) watch(number);
  }

  void wait() {
    std::array<epoll_event, 256> events{};
    const int count = ::epoll_wait(epoll_, events.data(), events.size(), 30000);
    if (count == 0) throw std::runtime_error("no answer for 30 seconds");
    for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(count)))
      advance(event.data.u64, (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
  }

  void advance(std::size_t number, bool ended) {
    Client& client = clients_[number];
    if (client.sent == Clock::time_point{}) {  // nothing is under way here
      if (ended) client.connection->forsake();
      return;
    }
    Answer answer;
    if (!client.connection->advance(answer)) return;
    --under_way_;
    ++outcome_.requests;
    outcome_.latencies.push_back(since(client.sent));
    client.sent = {};
    ++outcome_.statuses[answer.status];
    if (answer.status != 200) ++outcome_.errors;
    const std::string body(answer.body);  // send() forgets it
    send_next(number, body);
  }

  const Plan& plan_;
  int epoll_;
  std::vector<Client> clients_;
  const SlicePlan* slice_ = nullptr;
  Outcome outcome_;
  Clock::time_point started_;
  long under_way_ = 0;
  std::map<std::string, std::size_t> pool_next_;
};

}  // namespace

std::vector<Outcome> run(const Plan& plan) {
  Runner runner(plan);
  std::vector<Outcome> outcomes;
  for (const SlicePlan& slice : plan.slices) outcomes.push_back(runner.slice(slice));
  return outcomes;
}

}  // namespace bench
