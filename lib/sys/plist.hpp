// Property lists: a value tree of our own, read from XML through a linear gate and libplist, and written as
// XML.
//
// The gate runs before libplist sees a byte: XML in UTF-8 only, no DOCTYPE subset, entities, CDATA, comments
// or processing instructions beyond the prolog, depth at most 64, 300,000 elements, 25,000 keys in one dict,
// 20,000 '&' per string and a budget for references over all strings, no NUL, no key twice in one dict, no
// keys aimed at libplist's hash table, numbers, dates and base64 that are what they claim to be (integers in
// 64 bits, signed). Every bomb is refused within 100 ms and 64 MB. Control characters other than NUL are
// read, because devices report names that hold them, but not written. All functions are pure. Errors:
// Error{bad_request} with the limit that was passed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sys/time.hpp"

namespace sys {

struct PlistLimits {
  std::size_t bytes = 16U << 20U;
  std::size_t depth = 64;
  std::size_t elements = 300'000;
  std::size_t keys_per_dict = 25'000;
};

// What the gate saw on its way: the string values of the top-level dict, references resolved. A string of
// more than 4096 bytes is left out, and so is everything after the first 256. A passed limit or an unreadable
// value does not end the scan, so this is enough to settle a report whose tree cannot be read.
using TopStrings = std::map<std::string, std::string, std::less<>>;

class Plist;
using PlistArray = std::vector<Plist>;
using PlistDict = std::vector<std::pair<std::string, Plist>>;  // order kept
struct PlistData {
  std::string bytes;
  bool operator==(PlistData const&) const = default;
};

class Plist {
 public:
  using Value = std::variant<PlistDict, PlistArray, std::string, PlistData, std::int64_t, double, bool, Time>;

  Plist() : value_(PlistDict{}) {}
  Plist(PlistDict dict)
      : value_(std::move(dict)) {}  // NOLINT(google-explicit-constructor): literals read better
  Plist(PlistArray array) : value_(std::move(array)) {}             // NOLINT(google-explicit-constructor)
  Plist(std::string text) : value_(std::move(text)) {}              // NOLINT(google-explicit-constructor)
  Plist(std::string_view text) : value_(std::string(text)) {}       // NOLINT(google-explicit-constructor)
  Plist(char const* text) : value_(std::string(text)) {}            // NOLINT(google-explicit-constructor)
  Plist(PlistData data) : value_(std::move(data)) {}                // NOLINT(google-explicit-constructor)
  Plist(std::int64_t number) : value_(number) {}                    // NOLINT(google-explicit-constructor)
  Plist(int number) : value_(static_cast<std::int64_t>(number)) {}  // NOLINT(google-explicit-constructor)
  Plist(double number) : value_(number) {}                          // NOLINT(google-explicit-constructor)
  Plist(bool truth) : value_(truth) {}                              // NOLINT(google-explicit-constructor)
  Plist(Time time) : value_(time) {}                                // NOLINT(google-explicit-constructor)

  [[nodiscard]] Value const& value() const noexcept { return value_; }

  // Typed views; nullptr when the value is of another type.
  [[nodiscard]] PlistDict const* dict() const noexcept { return std::get_if<PlistDict>(&value_); }
  [[nodiscard]] PlistArray const* array() const noexcept { return std::get_if<PlistArray>(&value_); }
  [[nodiscard]] std::string const* string() const noexcept { return std::get_if<std::string>(&value_); }
  [[nodiscard]] std::string const* data() const noexcept;
  [[nodiscard]] std::int64_t const* integer() const noexcept { return std::get_if<std::int64_t>(&value_); }
  [[nodiscard]] bool const* boolean() const noexcept { return std::get_if<bool>(&value_); }
  [[nodiscard]] double const* real() const noexcept { return std::get_if<double>(&value_); }
  [[nodiscard]] Time const* time() const noexcept { return std::get_if<Time>(&value_); }

  // Member of a dict: nullptr when this is no dict or has no such key.
  [[nodiscard]] Plist const* find(std::string_view key) const noexcept;
  [[nodiscard]] std::optional<std::string> find_string(std::string_view key) const;
  [[nodiscard]] std::optional<std::string> find_data(std::string_view key) const;
  [[nodiscard]] std::optional<bool> find_bool(std::string_view key) const;
  void set(std::string_view key, Plist value);  // adds or replaces; this must be a dict

  bool operator==(Plist const&) const = default;

 private:
  Value value_;
};

// The gate alone. Fills `top` as far as it came, also when it throws; empties it when a key stands there
// twice.
void check_plist(std::string_view xml, PlistLimits const& limits, TopStrings& top);

// Gate, then libplist. The root may be of any type.
Plist read_plist(std::string_view xml, PlistLimits const& limits = {});
Plist read_plist(std::string_view xml, PlistLimits const& limits, TopStrings& top);

// XML with Apple's prolog, deterministic, indented with tabs. Throws Error{bad_request} for a string that is
// not UTF-8 or holds what XML 1.0 forbids.
std::string write_plist(Plist const& plist);

}  // namespace sys
