#include "sys/plist.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <plist/plist.h>

#include "sys/error.hpp"
#include "sys/plist_gate.hpp"

namespace sys {

namespace {

struct FreeTree {
  void operator()(void* tree) const noexcept { plist_free(tree); }
};
using Tree = std::unique_ptr<void, FreeTree>;

struct FreeMemory {
  void operator()(void* memory) const noexcept {
    std::free(memory);  // NOLINT(cppcoreguidelines-owning-memory): libplist allocates with malloc
  }
};
template <typename T>
using CMemory = std::unique_ptr<T, FreeMemory>;

// Turns libplist's tree into ours. The gate has bounded its depth, so recursion is safe.
class Converter {
 public:
  explicit Converter(std::vector<Time> dates) : dates_(std::move(dates)) {}

  Plist convert(plist_t node);

 private:
  PlistDict dict(plist_t node);
  PlistArray array(plist_t node);
  Plist date();

  std::vector<Time> dates_;
  std::size_t next_date_ = 0;
};

std::string text_of(plist_t node) {
  std::uint64_t length = 0;
  char const* const text = plist_get_string_ptr(node, &length);
  return text == nullptr ? std::string() : std::string(text, length);
}

PlistData data_of(plist_t node) {
  std::uint64_t length = 0;
  char const* const bytes = plist_get_data_ptr(node, &length);
  return {bytes == nullptr ? std::string() : std::string(bytes, length)};
}

bool truth_of(plist_t node) {
  std::uint8_t truth = 0;
  plist_get_bool_val(node, &truth);
  return truth != 0;
}

// Negative numbers come as their two's complement; the gate has refused those that need more than 64 bits.
std::int64_t integer_of(plist_t node) {
  std::uint64_t number = 0;
  plist_get_uint_val(node, &number);
  return static_cast<std::int64_t>(number);
}

double real_of(plist_t node) {
  double number = 0;
  plist_get_real_val(node, &number);
  return number;
}

Plist Converter::convert(plist_t node) {
  switch (plist_get_node_type(node)) {
    case PLIST_DICT:
      return dict(node);
    case PLIST_ARRAY:
      return array(node);
    case PLIST_STRING:
      return text_of(node);
    case PLIST_DATA:
      return data_of(node);
    case PLIST_BOOLEAN:
      return truth_of(node);
    case PLIST_UINT:
      return integer_of(node);
    case PLIST_REAL:
      return real_of(node);
    case PLIST_DATE:
      return date();
    default:
      throw Error(Fault::bad_request, "property list: a value of a kind that XML does not have");
  }
}

PlistDict Converter::dict(plist_t node) {
  PlistDict out;
  out.reserve(plist_dict_get_size(node));
  plist_dict_iter raw_iterator = nullptr;
  plist_dict_new_iter(node, &raw_iterator);
  CMemory<void> const iterator(raw_iterator);
  while (true) {
    char* raw_key = nullptr;
    plist_t value = nullptr;
    plist_dict_next_item(node, iterator.get(), &raw_key, &value);
    CMemory<char> const key(raw_key);
    if (key == nullptr || value == nullptr) return out;
    out.emplace_back(key.get(), convert(value));
  }
}

PlistArray Converter::array(plist_t node) {
  PlistArray out;
  out.reserve(plist_array_get_size(node));
  plist_array_iter raw_iterator = nullptr;
  plist_array_new_iter(node, &raw_iterator);
  CMemory<void> const iterator(raw_iterator);
  while (true) {
    plist_t value = nullptr;
    plist_array_next_item(node, iterator.get(), &value);
    if (value == nullptr) return out;
    out.push_back(convert(value));
  }
}

// libplist keeps the order of the document where no key stands twice, and the gate sees to that.
Plist Converter::date() {
  if (next_date_ >= dates_.size())
    throw Error(Fault::internal, "property list: libplist and the gate disagree about the dates");
  return dates_[next_date_++];
}

template <typename Items>
auto* find_in(Items& items, std::string_view key) noexcept {
  auto const found =
      std::find_if(items.begin(), items.end(), [key](auto const& item) { return item.first == key; });
  return found == items.end() ? nullptr : &found->second;
}

}  // namespace

std::string const* Plist::data() const noexcept {
  auto const* const data = std::get_if<PlistData>(&value_);
  return data == nullptr ? nullptr : &data->bytes;
}

Plist const* Plist::find(std::string_view key) const noexcept {
  auto const* const items = dict();
  return items == nullptr ? nullptr : find_in(*items, key);
}

std::optional<std::string> Plist::find_string(std::string_view key) const {
  auto const* const member = find(key);
  auto const* const text = member == nullptr ? nullptr : member->string();
  return text == nullptr ? std::nullopt : std::optional(*text);
}

std::optional<std::string> Plist::find_data(std::string_view key) const {
  auto const* const member = find(key);
  auto const* const bytes = member == nullptr ? nullptr : member->data();
  return bytes == nullptr ? std::nullopt : std::optional(*bytes);
}

std::optional<bool> Plist::find_bool(std::string_view key) const {
  auto const* const member = find(key);
  auto const* const truth = member == nullptr ? nullptr : member->boolean();
  return truth == nullptr ? std::nullopt : std::optional(*truth);
}

void Plist::set(std::string_view key, Plist value) {
  auto* const items = std::get_if<PlistDict>(&value_);
  if (items == nullptr)
    throw Error(Fault::internal, "property list: set " + std::string(key) + " in a value that is no dict");
  if (auto* const member = find_in(*items, key); member != nullptr) {
    *member = std::move(value);
  } else {
    items->emplace_back(key, std::move(value));
  }
}

Plist read_plist(std::string_view xml, PlistLimits const& limits, TopStrings& top) {
  auto dates = scan_plist(xml, limits, top);
  plist_t raw = nullptr;
  plist_from_xml(xml.data(), static_cast<std::uint32_t>(xml.size()), &raw);
  Tree const tree(raw);
  if (tree == nullptr) throw Error(Fault::bad_request, "property list: libplist cannot read it");
  return Converter(std::move(dates)).convert(tree.get());
}

Plist read_plist(std::string_view xml, PlistLimits const& limits) {
  TopStrings top;
  return read_plist(xml, limits, top);
}

}  // namespace sys
