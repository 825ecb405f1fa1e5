// Reads the bytes of a fuzz input from front to back as choices, numbers and texts, so that a mutation
// changes one thing at a time. What is asked for behind the end is zero or empty.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace fuzz {

// A broken promise of the code under test.
inline void demand(bool truth) {
  if (!truth) std::abort();
}

class Input {
 public:
  Input(std::uint8_t const* data, std::size_t size) : bytes_(reinterpret_cast<char const*>(data), size) {}

  std::uint8_t byte() {
    auto const one = take(1);
    return one.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(one[0]);
  }
  std::size_t number() {
    std::size_t const high = byte();
    return high << 8U | byte();
  }
  template <std::size_t N>
  std::string_view choose(std::array<std::string_view, N> const& from) {
    return from.at(byte() % N);
  }
  std::string_view take(std::size_t count) {
    auto const part = bytes_.substr(0, count);
    bytes_.remove_prefix(part.size());
    return part;
  }
  std::string_view text() { return take(number()); }  // a length of two bytes before it
  std::string_view rest() { return take(bytes_.size()); }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

}  // namespace fuzz
