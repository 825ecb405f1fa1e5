// Property lists as plain values, read and written by libplist. Reading accepts the XML and the binary form,
// as devices do; writing makes XML, as devices send it. Errors: device::Error.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace device {

struct Value;
struct Entry;
struct Data {
  std::string bytes;
};
struct Date {
  std::int64_t seconds = 0;  // since 1970, UTC
};
using Array = std::vector<Value>;

// Keeps the order of its keys. The getters give nothing when the key is absent or of another type.
class Dict {
 public:
  Dict();
  Dict(const Dict&);
  Dict(Dict&&) noexcept;
  Dict& operator=(const Dict&);
  Dict& operator=(Dict&&) noexcept;
  ~Dict();
  Dict(std::initializer_list<Entry> entries);
  void set(std::string_view key, Value value);  // replaces
  void erase(std::string_view key);
  const Value* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::optional<std::string> string(std::string_view key) const;
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> data(std::string_view key) const;
  const Array* array(std::string_view key) const;
  const Dict* dict(std::string_view key) const;
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

struct Value {
  std::variant<bool, std::int64_t, double, std::string, Data, Date, Array, Dict> content;
  Value(bool flag) : content(flag) {}                                // NOLINT
  Value(int number) : content(static_cast<std::int64_t>(number)) {}  // NOLINT
  Value(std::int64_t number) : content(number) {}                    // NOLINT
  Value(double number) : content(number) {}                          // NOLINT
  Value(const char* text) : content(std::string(text)) {}            // NOLINT
  Value(std::string text) : content(std::move(text)) {}              // NOLINT
  Value(Data data) : content(std::move(data)) {}                     // NOLINT
  Value(Date date) : content(date) {}                                // NOLINT
  Value(Array array) : content(std::move(array)) {}                  // NOLINT
  Value(Dict dict) : content(std::move(dict)) {}                     // NOLINT
  const Dict* dict() const { return std::get_if<Dict>(&content); }
  const Array* array() const { return std::get_if<Array>(&content); }
  const std::string* string() const { return std::get_if<std::string>(&content); }
};

struct Entry {
  std::string key;
  Value value;
};

Value parse_plist(std::string_view bytes);
Dict parse_plist_dict(std::string_view bytes);  // refuses any other top-level object
std::string to_xml(const Value& value);

}  // namespace device
