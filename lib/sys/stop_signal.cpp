#include "sys/stop_signal.hpp"

#include <cerrno>
#include <ctime>

namespace sys {

StopSignal::StopSignal() {
  sigemptyset(&signals_);
  for (int const number : {SIGTERM, SIGINT}) sigaddset(&signals_, number);
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
}

StopSignal::~StopSignal() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

bool StopSignal::wait(std::chrono::milliseconds most) {
  using std::chrono::steady_clock;
  auto const end = steady_clock::now() + most;
  while (!requested_) {
    auto const left = std::max(end - steady_clock::now(), steady_clock::duration::zero());
    auto const seconds = std::chrono::floor<std::chrono::seconds>(left);
    ::timespec const limit{static_cast<std::time_t>(seconds.count()),
                           static_cast<long>(std::chrono::nanoseconds(left - seconds).count())};
    requested_ = sigtimedwait(&signals_, nullptr, &limit) > 0;
    if (!requested_ && errno != EINTR) return false;
  }
  return true;
}

}  // namespace sys
