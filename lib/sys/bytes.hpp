// Bytes: a std::string is a byte string throughout the project (bodies, DER, hashes), std::string_view a
// borrowed one. SecretBytes wipes itself; use it for keys and for what is decrypted.
#pragma once

#include <string>
#include <string_view>

namespace sys {

void wipe(std::string& bytes) noexcept;

class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::string bytes) : bytes_(std::move(bytes)) {}
  SecretBytes(SecretBytes const&) = default;
  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::move(other.bytes_)) { wipe(other.bytes_); }
  SecretBytes& operator=(SecretBytes const& other) {
    if (this != &other) {
      wipe(bytes_);
      bytes_ = other.bytes_;
    }
    return *this;
  }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      wipe(bytes_);
      bytes_ = std::move(other.bytes_);
      wipe(other.bytes_);
    }
    return *this;
  }
  ~SecretBytes() { wipe(bytes_); }
  [[nodiscard]] std::string const& str() const noexcept { return bytes_; }
  [[nodiscard]] std::string_view view() const noexcept { return bytes_; }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }

 private:
  std::string bytes_;
};

// Compares in time that depends on the lengths only.
bool equal_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace sys
