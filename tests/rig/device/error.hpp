// The one error type of the simulated device: a sentence for people that says what was refused and why.
#pragma once
#include <stdexcept>
#include <string>

namespace device {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The server answered, and its answer is no: the same request again would be refused again.
class Refusal : public Error {
 public:
  using Error::Error;
};

}  // namespace device
