// SIGTERM and SIGINT as something to ask for, for workers: blocked from the construction on, in this thread
// and those it starts afterwards, they interrupt nothing; what is under way is finished and then asked.
#pragma once

#include <chrono>
#include <csignal>

namespace sys {

class StopSignal {
 public:
  StopSignal();
  StopSignal(StopSignal const&) = delete;
  StopSignal& operator=(StopSignal const&) = delete;
  ~StopSignal();

  // Waits at most so long; true as soon as the process was asked to stop, and from then on.
  bool wait(std::chrono::milliseconds most);
  bool requested() { return wait(std::chrono::milliseconds(0)); }

 private:
  sigset_t signals_{};
  sigset_t before_{};
  bool requested_ = false;
};

}  // namespace sys
