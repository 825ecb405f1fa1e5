#include "journal.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <unistd.h>

#include "error.hpp"
#include "json.hpp"

namespace device {
namespace {

std::string time_text() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  std::string fraction = std::to_string(now.tv_nsec / 1000);
  return std::string(text, length) + '.' + std::string(6 - fraction.size(), '0') + fraction;
}

}  // namespace

Journal::Journal(const std::string& file) {
  if (file.empty()) return;
  fd_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0) throw Error("cannot write " + file + ": " + std::strerror(errno));
}

Journal::~Journal() {
  if (fd_ >= 0) ::close(fd_);
}

void Journal::write(const std::string& udid, const std::string& step, const Fields& fields) {
  if (fd_ < 0) return;
  std::string rest = R"(","device":)" + json_string(udid) + R"(,"step":)" + json_string(step);
  for (const auto& [key, value] : fields)
    if (!value.empty()) rest += ',' + json_string(key) + ':' + json_string(value);
  rest += "}\n";
  const std::lock_guard lock(mutex_);
  const std::string line = R"({"time":")" + time_text() + rest;
  if (::write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    throw Error(std::string("cannot write the journal: ") + std::strerror(errno));
}

}  // namespace device
