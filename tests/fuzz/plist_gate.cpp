// Whatever the gate lets through must be readable, and what is written must be read back as the same tree.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sys/error.hpp"
#include "sys/plist.hpp"

namespace {

void demand(bool truth) {
  if (!truth) std::abort();
}

// A NaN is not equal to itself.
bool holds_nan(sys::Plist const& plist) {
  if (plist.real() != nullptr) return std::isnan(*plist.real());
  if (plist.array() != nullptr) {
    for (auto const& item : *plist.array()) {
      if (holds_nan(item)) return true;
    }
  }
  if (plist.dict() != nullptr) {
    for (auto const& [key, value] : *plist.dict()) {
      if (holds_nan(value)) return true;
    }
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes(reinterpret_cast<char const*>(data), size);
  sys::TopStrings top;
  try {
    sys::check_plist(bytes, {}, top);
  } catch (sys::Error const&) {
    return 0;
  }
  sys::Plist const tree = sys::read_plist(bytes);  // the gate let it through: an exception is a finding
  for (auto const& [key, value] : top) demand(tree.find_string(key) == value);
  std::string written;
  try {
    written = sys::write_plist(tree);
  } catch (sys::Error const&) {
    return 0;  // control characters are read but not written
  }
  sys::Plist const again = sys::read_plist(written);
  demand(holds_nan(tree) || again == tree);
  demand(sys::write_plist(again) == written);
  return 0;
}
