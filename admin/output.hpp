// What the `pomona` command prints: tables that fit the terminal, or JSON with stable keys; never both.
//
// With --json, stdout is one JSON document and nothing else. Text from devices and files is escaped, so that
// it cannot steer a terminal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "sys/time.hpp"

namespace admin {

class Value;
using List = std::vector<Value>;
using Object = std::vector<std::pair<std::string, Value>>;  // order kept

// One value of an output: null, truth, number, text, time, list or object.
class Value {
 public:
  using Variant = std::variant<std::nullptr_t, bool, std::int64_t, std::string, sys::Time, List, Object>;

  Value() : value_(nullptr) {}
  Value(std::nullptr_t) : value_(nullptr) {}  // NOLINT(google-explicit-constructor)
  Value(bool truth) : value_(truth) {}        // NOLINT(google-explicit-constructor)
  template <typename Int>
    requires(std::is_integral_v<Int> && !std::is_same_v<Int, bool>)
  Value(Int number) : value_(static_cast<std::int64_t>(number)) {}  // NOLINT(google-explicit-constructor)
  Value(std::string text) : value_(std::move(text)) {}              // NOLINT(google-explicit-constructor)
  Value(std::string_view text) : value_(std::string(text)) {}       // NOLINT(google-explicit-constructor)
  Value(char const* text) : value_(std::string(text)) {}            // NOLINT(google-explicit-constructor)
  Value(sys::Time time) : value_(time) {}                           // NOLINT(google-explicit-constructor)
  Value(List list) : value_(std::move(list)) {}                     // NOLINT(google-explicit-constructor)
  Value(Object object) : value_(std::move(object)) {}               // NOLINT(google-explicit-constructor)
  template <typename T>
  Value(std::optional<T> const& maybe) : Value(maybe ? Value(*maybe) : Value()) {}  // NOLINT

  [[nodiscard]] Variant const& get() const noexcept { return value_; }

 private:
  Variant value_;
};

// For people: "-", yes/no, 2027-03-01 10:00:00 (UTC), lists with commas. Control characters escaped.
std::string cell_text(Value const& value);
std::string json_text(Value const& value);  // indented; times as 2027-03-01T10:00:00Z

struct Column {
  std::string key;    // in JSON
  std::string title;  // over the column; "" leaves the column out of the table
  bool right = false;
};

struct Table {
  std::vector<Column> columns;
  std::vector<List> rows;  // one value for each column
  std::string nothing;     // printed instead of an empty table: "No tickets."
};

// The table as text. `width` 0: lines as long as they need to be; else the widest columns are cut.
std::string table_text(Table const& table, std::size_t width, bool headers);
Value table_value(Table const& table);  // a list of objects

struct Field {
  std::string key;    // in JSON; "" leaves it out there (certificates only)
  std::string title;  // "" leaves it out of the text
  Value value;
};

// A certificate in the form of `certbot certificates`.
struct CertificateBlock {
  std::string title;          // "Push certificate com.apple.mgmt.External.1"
  std::vector<Field> fields;  // Serial Number, Issuer, ...
  sys::Time not_before;
  sys::Time not_after;
  std::optional<std::string> invalid = {};  // "REVOKED": stands in place of the days
  std::vector<Field> notes = {};            // behind the expiry: used by, consequence, next step
};

std::string certificate_text(CertificateBlock const& block, sys::Time now);
Value certificate_value(CertificateBlock const& block,
                        sys::Time now);  // + not_before, not_after, state, days

class Output {
 public:
  Output(bool json, bool headers) : json_(json), headers_(headers) {}
  [[nodiscard]] bool json() const noexcept { return json_; }

  void table(Table const& table) const;
  void fields(std::vector<Field> const& fields) const;  // "Title: value" lines, or one object
  void certificates(std::vector<CertificateBlock> const& blocks, std::string const& nothing,
                    sys::Time now) const;
  void value(Value const& value) const;      // JSON only
  void line(std::string const& text) const;  // text only: what was done, what to do next

 private:
  bool json_;
  bool headers_;
};

}  // namespace admin
