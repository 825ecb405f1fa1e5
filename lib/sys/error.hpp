// The one exception type of the project.
//
// Throw it for what stops the request or job; use std::optional for absence and an enum for expected refusals
// (SCEP failInfo, APNs reason). A message says what was being done, why it failed and what to do next.
// Programs, and only they, turn a Fault into an HTTP status or an exit code.
#pragma once

#include <stdexcept>
#include <string>

namespace sys {

enum class Fault {
  bad_request,      // the sender's bytes or arguments are wrong
  unauthenticated,  // nobody we know, or an unusable proof
  forbidden,        // known, but not allowed
  not_found,
  conflict,     // true in itself, but contradicts what is stored
  unavailable,  // try again later: database away, lease held
  upstream,     // another party's service refused or broke
  internal,     // a defect or a broken installation
};

class Error : public std::runtime_error {
 public:
  Error(Fault fault, std::string const& what) : std::runtime_error(what), fault_(fault) {}
  [[nodiscard]] Fault fault() const noexcept { return fault_; }

 private:
  Fault fault_;
};

// The name used in logs: "bad_request", ...
char const* fault_name(Fault fault) noexcept;

// Exit code of a program that ends with this fault: 1 failed, 2 usage, 3 not configured, 75 try again later
// (EX_TEMPFAIL).
int exit_code(Fault fault) noexcept;

}  // namespace sys
