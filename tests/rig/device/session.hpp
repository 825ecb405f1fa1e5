// One session as a device holds it after a push: Idle (or the report that is still owed), then command by
// command until the server sends an empty body.
#pragma once
#include <string>
#include <vector>

#include "answers.hpp"

namespace device {

struct Handled {
  std::string uuid, type, status, remark;
};

struct Command {
  std::string uuid, type;
  Dict content;
};
Command read_command(const std::string& body);
std::string report_of(const Context& context, const Channel& channel, const Command& command,
                      const Answer& answer);

// channel belongs to context.device. Errors (device::Error): transport, an HTTP status other than 2xx (the
// report is kept for the next session), a command that is none, a NotNow'd command offered again in the same
// session.
std::vector<Handled> hold_session(Context& context, Channel& channel, const Whims& whims);

}  // namespace device
