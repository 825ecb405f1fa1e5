#include "plist.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <plist/plist.h>

#include "error.hpp"

namespace device {
namespace {

constexpr std::int64_t apple_epoch = 978307200;  // 2001-01-01 in Unix seconds

struct FreeTree {
  void operator()(void* tree) const { plist_free(tree); }
};
using Tree = std::unique_ptr<void, FreeTree>;

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }  // NOLINT: libplist hands out malloc'ed memory
};
template <class T>
using Memory = std::unique_ptr<T, FreeMemory>;

Value read_node(plist_t node);

std::string read_string(plist_t node) {
  char* text = nullptr;
  plist_get_string_val(node, &text);
  const Memory<char> owner(text);
  return text == nullptr ? "" : text;
}

Data read_data(plist_t node) {
  char* bytes = nullptr;
  std::uint64_t length = 0;
  plist_get_data_val(node, &bytes, &length);
  const Memory<char> owner(bytes);
  return {bytes == nullptr ? "" : std::string(bytes, length)};
}

Array read_array(plist_t node) {
  Array array;
  for (std::uint32_t i = 0; i < plist_array_get_size(node); ++i)
    array.push_back(read_node(plist_array_get_item(node, i)));
  return array;
}

Dict read_dict(plist_t node) {
  Dict dict;
  plist_dict_iter raw = nullptr;
  plist_dict_new_iter(node, &raw);
  const Memory<void> iterator(raw);
  for (;;) {
    char* key = nullptr;
    plist_t item = nullptr;
    plist_dict_next_item(node, iterator.get(), &key, &item);
    const Memory<char> owner(key);
    if (item == nullptr) return dict;
    dict.set(key, read_node(item));
  }
}

Value read_date(plist_t node) {
  std::int32_t seconds = 0;
  std::int32_t micros = 0;
  plist_get_date_val(node, &seconds, &micros);
  return Date{seconds + apple_epoch};
}

Value read_node(plist_t node) {
  switch (plist_get_node_type(node)) {
    case PLIST_BOOLEAN: {
      std::uint8_t flag = 0;
      plist_get_bool_val(node, &flag);
      return flag != 0;
    }
    case PLIST_UINT: {
      std::uint64_t number = 0;
      plist_get_uint_val(node, &number);
      return static_cast<std::int64_t>(number);
    }
    case PLIST_REAL: {
      double number = 0;
      plist_get_real_val(node, &number);
      return number;
    }
    case PLIST_STRING:
      return read_string(node);
    case PLIST_DATA:
      return read_data(node);
    case PLIST_DATE:
      return read_date(node);
    case PLIST_ARRAY:
      return read_array(node);
    case PLIST_DICT:
      return read_dict(node);
    default:
      throw Error("the property list holds an object of a type that configuration never uses");
  }
}

struct Writer {
  plist_t operator()(bool flag) const { return plist_new_bool(flag ? 1 : 0); }
  plist_t operator()(std::int64_t number) const { return plist_new_uint(static_cast<std::uint64_t>(number)); }
  plist_t operator()(double number) const { return plist_new_real(number); }
  plist_t operator()(const std::string& text) const { return plist_new_string(text.c_str()); }
  plist_t operator()(const Data& data) const { return plist_new_data(data.bytes.data(), data.bytes.size()); }
  plist_t operator()(Date date) const {
    return plist_new_date(static_cast<std::int32_t>(date.seconds - apple_epoch), 0);
  }
  plist_t operator()(const Array& array) const {
    plist_t node = plist_new_array();
    for (const Value& item : array) plist_array_append_item(node, std::visit(*this, item.content));
    return node;
  }
  plist_t operator()(const Dict& dict) const {
    plist_t node = plist_new_dict();
    for (const Entry& entry : dict.entries())
      plist_dict_set_item(node, entry.key.c_str(), std::visit(*this, entry.value.content));
    return node;
  }
};

template <class T>
std::optional<T> get(const Value* value) {
  const T* content = value == nullptr ? nullptr : std::get_if<T>(&value->content);
  return content == nullptr ? std::nullopt : std::optional<T>(*content);
}

}  // namespace

Dict::Dict() = default;
Dict::Dict(const Dict&) = default;
Dict::Dict(Dict&&) noexcept = default;
Dict& Dict::operator=(const Dict&) = default;
Dict& Dict::operator=(Dict&&) noexcept = default;
Dict::~Dict() = default;
Dict::Dict(std::initializer_list<Entry> entries) : entries_(entries) {}

const Value* Dict::find(std::string_view key) const {
  const auto at =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  return at == entries_.end() ? nullptr : &at->value;
}

void Dict::set(std::string_view key, Value value) {
  const auto at =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  if (at == entries_.end())
    entries_.push_back({std::string(key), std::move(value)});
  else
    at->value = std::move(value);
}

void Dict::erase(std::string_view key) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.key == key; });
}

std::optional<std::string> Dict::string(std::string_view key) const { return get<std::string>(find(key)); }
std::optional<std::int64_t> Dict::integer(std::string_view key) const { return get<std::int64_t>(find(key)); }
std::optional<bool> Dict::boolean(std::string_view key) const { return get<bool>(find(key)); }

std::optional<std::string> Dict::data(std::string_view key) const {
  const auto found = get<Data>(find(key));
  return found ? std::optional<std::string>(found->bytes) : std::nullopt;
}

const Array* Dict::array(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr ? nullptr : value->array();
}

const Dict* Dict::dict(std::string_view key) const {
  const Value* value = find(key);
  return value == nullptr ? nullptr : value->dict();
}

Value parse_plist(std::string_view bytes) {
  plist_t root = nullptr;
  plist_from_memory(bytes.data(), static_cast<std::uint32_t>(bytes.size()), &root);
  const Tree tree(root);
  if (!tree) throw Error("not a property list (" + std::to_string(bytes.size()) + " bytes)");
  return read_node(tree.get());
}

Dict parse_plist_dict(std::string_view bytes) {
  const Value value = parse_plist(bytes);
  if (value.dict() == nullptr) throw Error("the property list's top-level object is not a dictionary");
  return *value.dict();
}

std::string to_xml(const Value& value) {
  const Tree tree(std::visit(Writer{}, value.content));
  char* text = nullptr;
  std::uint32_t length = 0;
  plist_to_xml(tree.get(), &text, &length);
  const Memory<char> owner(text);
  if (text == nullptr) throw Error("libplist could not write a property list");
  return {text, length};
}

}  // namespace device
