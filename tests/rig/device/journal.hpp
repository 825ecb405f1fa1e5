// What the devices of a fleet sent and were answered, as JSON lines; tests/rig/invariants.py holds the server
// against it. A line stands in the file before its message goes out, and another one once the answer is
// there, so that whatever is killed, the journal never knows less than the devices did.
#pragma once
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace device {

class Journal {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  explicit Journal(const std::string& file);  // empty: nothing is kept
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();
  // {"time": UTC with microseconds, "device": UDID, "step": ..., then the fields}. Empty fields are left out.
  void write(const std::string& udid, const std::string& step, const Fields& fields);

 private:
  std::mutex mutex_;
  int fd_ = -1;
};

}  // namespace device
