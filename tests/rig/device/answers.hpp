// A device's answers to commands: the keys of the report beyond Status, CommandUUID and the identifiers.
#pragma once
#include <set>
#include <string>

#include "enroll.hpp"

namespace device {

struct Answer {
  std::string status = "Acknowledged";
  Dict keys;
  std::string remark;  // for people
  // What happens once the server has the report.
  enum class Then { nothing, leave, vanish } then = Then::nothing;
};

// Request types that are to be answered with NotNow or Error instead.
struct Whims {
  std::set<std::string> not_now;
  std::set<std::string> error;
  std::set<std::string> ignore;  // the session ends there, without an answer
};

// May use the network: InstallProfile enrols anew when the profile holds a SCEP payload.
Answer answer(Context& context, const std::string& type, const Dict& command, const Whims& whims);

}  // namespace device
