// Where device keys come from. RSA keys are slow to make, so a pool folder keeps them between runs:
// free/*.pem may be taken by anyone, used/*.pem has an owner (a device's state folder, or a process) in
// *.owner. Taking is a rename, so that processes and threads never get the same key; keys whose owner is gone
// return. No two devices of one server may share a key: SCEP's transactionID is made from it.
#pragma once
#include <filesystem>
#include <string>

#include "crypto.hpp"

namespace device {

class KeyPool {
 public:
  explicit KeyPool(std::filesystem::path folder);  // empty = no pool, every key is made anew
  // owner: state folder of the device, or empty for this process.
  Key take(int bits, const std::filesystem::path& owner);

 private:
  std::filesystem::path folder_;
};

}  // namespace device
