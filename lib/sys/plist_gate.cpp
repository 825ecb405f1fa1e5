#include "sys/plist_gate.hpp"

#include <algorithm>
#include <limits>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

// Costs of libplist 2.2.0 that XML alone does not show. An entity moves the rest of its string; a dict is a
// table of 4096 chains by the low 12 bits of a hash that anybody can aim.
constexpr std::size_t kReferencesPerString = 20'000;
constexpr std::uint64_t kReferenceBudget = 2'000'000'000;  // references x bytes, over all strings and keys
constexpr std::size_t kKeysPerChain = 128;
constexpr std::size_t kKeysPerHash = 16;

constexpr std::size_t kDeepest =
    512;  // whatever the caller asks for: trees are walked and freed by recursion
constexpr std::size_t kTopStringBytes = 4096;
constexpr std::size_t kTopStrings = 256;

bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

struct Tag {
  enum class Kind { open, close, empty };
  Kind kind;
  std::string_view name;
};

struct Level {
  bool dict;
  std::size_t first_key;  // in seen_
  std::size_t keys;
};

struct SeenKey {
  std::uint32_t hash;
  std::uint32_t at;  // raw text in the document
  std::uint32_t size;
};

// A limit that is passed, or a leaf that cannot be read, is remembered, and the scan goes on for the sake of
// the top-level strings; only a structure that cannot be followed ends it.
class Gate {
 public:
  Gate(std::string_view xml, PlistLimits const& limits, TopStrings& top)
      : xml_(xml), limits_(limits), top_(top) {}

  std::vector<Time> run();

 private:
  [[noreturn]] void broken(std::string const& why) const;
  void refuse(std::string const& why);

  void check_whole();
  void skip_space();
  bool skip(std::string_view literal);
  void prolog();
  void doctype();
  void quoted_literal();
  void plist_tag();
  Tag tag();
  std::string_view content(Tag const& tag);

  void element(Tag const& tag);
  void key(Tag const& tag);
  void open(Tag const& tag);
  void close(std::string_view name);
  void leaf(Tag const& tag);
  void capture(std::string_view raw);
  void check_text(std::string_view raw);
  void remember_key(std::string_view raw);
  void check_keys(std::size_t first);
  bool same_key(SeenKey const& a, SeenKey const& b) const;
  [[nodiscard]] bool at_top() const { return levels_.size() == 1 && too_deep_ == 0 && levels_[0].dict; }

  std::string_view xml_;
  PlistLimits const& limits_;
  TopStrings& top_;
  std::size_t at_ = 0;
  std::vector<Level> levels_;
  std::size_t too_deep_ = 0;  // containers open beyond the depth limit, whose kinds are not followed
  std::size_t elements_ = 0;
  std::uint64_t reference_cost_ = 0;
  std::vector<SeenKey> seen_;
  bool key_waits_ = false;     // a key has been read in the innermost dict and its value has not
  std::string_view last_key_;  // raw
  std::vector<Time> dates_;
  std::string refusal_;
};

void Gate::broken(std::string const& why) const {
  throw Error(Fault::bad_request,
              "property list: " + (refusal_.empty() ? why : refusal_) + ", at byte " + std::to_string(at_));
}

void Gate::refuse(std::string const& why) {
  if (refusal_.empty()) refusal_ = why;
}

std::vector<Time> Gate::run() {
  check_whole();
  prolog();
  plist_tag();
  do {
    skip_space();
    element(tag());
  } while (!levels_.empty() || too_deep_ > 0);
  skip_space();
  if (Tag const end = tag(); end.kind != Tag::Kind::close || end.name != "plist")
    broken("more than one value in <plist>");
  skip_space();
  if (at_ != xml_.size()) broken("bytes after </plist>");
  if (!refusal_.empty()) throw Error(Fault::bad_request, "property list: " + refusal_);
  return std::move(dates_);
}

void Gate::check_whole() {
  if (xml_.size() > std::numeric_limits<std::uint32_t>::max()) broken("larger than 4 GiB");
  if (xml_.starts_with("bplist")) broken("binary form; only XML is accepted");
  if (xml_.size() > limits_.bytes) {
    refuse("larger than " + std::to_string(limits_.bytes) + " bytes");
    return;
  }
  if (xml_.find('\0') != std::string_view::npos) refuse("a NUL byte");
  if (!is_utf8(xml_)) refuse("not UTF-8");
}

void Gate::skip_space() {
  while (at_ < xml_.size() && is_space(xml_[at_])) ++at_;
}

bool Gate::skip(std::string_view literal) {
  if (!xml_.substr(at_).starts_with(literal)) return false;
  at_ += literal.size();
  return true;
}

// The XML declaration and the document type, both optional.
void Gate::prolog() {
  skip_space();
  if (skip("<?xml")) {
    constexpr std::size_t kLongest = 128;
    auto const rest = xml_.substr(at_, kLongest);
    auto const end = rest.find("?>");
    if (end == std::string_view::npos) broken("the XML declaration does not end");
    std::string const declaration = to_lower(rest.substr(0, end));
    if (declaration.find_first_of("<>&[]") != std::string::npos ||
        std::count(declaration.begin(), declaration.end(), '"') % 2 != 0)
      broken("the XML declaration is malformed");
    if (declaration.find("encoding") != std::string::npos && declaration.find("utf-8") == std::string::npos)
      broken("an encoding other than UTF-8 is declared");
    at_ += end + 2;
    skip_space();
  }
  if (skip("<!DOCTYPE")) doctype();
  skip_space();
}

void Gate::doctype() {
  skip_space();
  if (!skip("plist")) broken("a document type other than plist");
  skip_space();
  if (!skip("PUBLIC")) broken("a document type without public identifier");
  quoted_literal();
  quoted_literal();
  skip_space();
  if (!skip(">")) broken("a document type with internal subset");
}

void Gate::quoted_literal() {
  skip_space();
  constexpr std::size_t kLongest = 128;
  if (!skip("\"")) broken("a malformed document type");
  auto const rest = xml_.substr(at_, kLongest);
  auto const end = rest.find('"');
  if (end == std::string_view::npos || rest.substr(0, end).find_first_of("<>&[]") != std::string_view::npos)
    broken("a malformed document type");
  at_ += end + 1;
}

void Gate::plist_tag() {
  if (!skip("<plist")) broken("no <plist> where it is expected");
  std::size_t const name_end = at_;
  skip_space();
  if (at_ > name_end && skip("version")) {
    skip_space();
    if (!skip("=")) broken("a malformed <plist> tag");
    skip_space();
    if (!skip("\"1.0\"") && !skip("'1.0'")) broken("a version other than 1.0");
    skip_space();
  }
  if (!skip(">")) broken("a malformed <plist> tag");
}

Tag Gate::tag() {
  if (at_ >= xml_.size()) broken("it ends too early");
  if (xml_[at_] != '<') broken("text where a tag is expected");
  ++at_;
  if (at_ < xml_.size() && (xml_[at_] == '!' || xml_[at_] == '?'))
    broken("comments, CDATA, declarations and processing instructions are not accepted");
  Tag tag{Tag::Kind::open, {}};
  if (skip("/")) tag.kind = Tag::Kind::close;
  std::size_t const start = at_;
  while (at_ < xml_.size() && xml_[at_] >= 'a' && xml_[at_] <= 'z') ++at_;
  tag.name = xml_.substr(start, at_ - start);
  skip_space();
  if (tag.kind == Tag::Kind::open && skip("/")) tag.kind = Tag::Kind::empty;
  if (tag.name.empty() || !skip(">")) broken("a malformed tag");
  return tag;
}

// The text of an element that holds nothing else, and its closing tag.
std::string_view Gate::content(Tag const& opening) {
  if (opening.kind == Tag::Kind::empty) return {};
  std::size_t const start = at_;
  at_ = std::min(xml_.find('<', at_), xml_.size());
  auto const text = xml_.substr(start, at_ - start);
  Tag const closing = tag();
  if (closing.kind != Tag::Kind::close || closing.name != opening.name)
    broken("<" + std::string(opening.name.substr(0, 16)) + "> holds a tag");
  return text;
}

void Gate::element(Tag const& tag) {
  if (tag.kind == Tag::Kind::close) {
    close(tag.name);
    return;
  }
  if (++elements_ > limits_.elements) refuse("more than " + std::to_string(limits_.elements) + " elements");
  if (tag.name == "key") {
    key(tag);
    return;
  }
  if (too_deep_ == 0 && !levels_.empty() && levels_.back().dict && !key_waits_) broken("a value without key");
  key_waits_ = false;
  if (tag.name == "dict" || tag.name == "array") {
    open(tag);
  } else {
    leaf(tag);
  }
}

void Gate::key(Tag const& tag) {
  if (tag.kind != Tag::Kind::open) broken("an empty <key/>");
  auto const raw = content(tag);
  if (too_deep_ > 0) return;
  if (levels_.empty() || !levels_.back().dict || key_waits_) broken("a <key> where a value is expected");
  key_waits_ = true;
  last_key_ = raw;
  if (++levels_.back().keys > limits_.keys_per_dict)
    refuse("more than " + std::to_string(limits_.keys_per_dict) + " keys in one dict");
  check_text(raw);
  if (refusal_.empty()) remember_key(raw);
}

void Gate::open(Tag const& tag) {
  if (too_deep_ > 0 || levels_.size() >= std::min(limits_.depth, kDeepest)) {
    refuse("nested deeper than " + std::to_string(limits_.depth));
    if (tag.kind == Tag::Kind::open) ++too_deep_;
    return;
  }
  if (tag.kind == Tag::Kind::open) levels_.push_back({tag.name == "dict", seen_.size(), 0});
}

void Gate::close(std::string_view name) {
  if (name != "dict" && name != "array") broken("a closing tag that nothing opened");
  if (too_deep_ > 0) {
    --too_deep_;
    return;
  }
  if (levels_.empty() || levels_.back().dict != (name == "dict") || key_waits_)
    broken("a closing tag in the wrong place");
  if (refusal_.empty() && levels_.back().dict) check_keys(levels_.back().first_key);
  seen_.resize(std::min(seen_.size(), levels_.back().first_key));
  levels_.pop_back();
}

void Gate::leaf(Tag const& tag) {
  auto const raw = content(tag);
  if (tag.name == "string") {
    if (at_top()) capture(raw);
    check_text(raw);
    return;
  }
  auto const kind = leaf_kind(tag.name);
  if (!kind) broken("the unknown element <" + std::string(tag.name.substr(0, 16)) + ">");
  if (!refusal_.empty()) return;
  if (auto const why = check_leaf(*kind, raw); why != nullptr) refuse(why);
  if (*kind != LeafKind::date) return;
  if (auto const date = parse_iso_time(raw)) dates_.push_back(*date);
}

void Gate::capture(std::string_view raw) {
  if (raw.size() > kTopStringBytes || last_key_.size() > kTopStringBytes || top_.size() >= kTopStrings)
    return;
  auto const usable = [](std::string const& text) {
    return is_utf8(text) && text.find('\0') == std::string::npos;
  };
  auto name = resolve_references(last_key_);
  auto value = resolve_references(raw);
  if (!name || !value || !usable(*name) || !usable(*value)) return;
  if (!top_.emplace(std::move(*name), std::move(*value)).second) {
    top_.clear();  // who says two things is not believed in either
    broken("a key twice in one dict");
  }
}

void Gate::check_text(std::string_view raw) {
  if (!refusal_.empty()) return;
  auto const references = static_cast<std::size_t>(std::count(raw.begin(), raw.end(), '&'));
  if (references == 0) return;
  reference_cost_ += static_cast<std::uint64_t>(references) * raw.size();
  if (references > kReferencesPerString) {
    refuse("more than " + std::to_string(kReferencesPerString) + " character references in one string");
  } else if (reference_cost_ > kReferenceBudget) {
    refuse("too many character references in long strings");
  } else if (!resolve_references(raw)) {
    refuse("a character reference that is not allowed");
  }
}

void Gate::remember_key(std::string_view raw) {
  auto const plain = raw.find('&') == std::string_view::npos ? std::nullopt : resolve_references(raw);
  std::uint32_t hash = 5381;  // libplist's dict_key_hash
  for (char const c : plain ? std::string_view(*plain) : raw)
    hash = hash * 33U + static_cast<std::uint32_t>(static_cast<std::int32_t>(c));
  seen_.push_back(
      {hash, static_cast<std::uint32_t>(raw.data() - xml_.data()), static_cast<std::uint32_t>(raw.size())});
}

bool Gate::same_key(SeenKey const& a, SeenKey const& b) const {
  auto const raw_a = xml_.substr(a.at, a.size);
  auto const raw_b = xml_.substr(b.at, b.size);
  if (raw_a.find('&') == std::string_view::npos && raw_b.find('&') == std::string_view::npos)
    return raw_a == raw_b;
  return resolve_references(raw_a) == resolve_references(raw_b);
}

// No key twice, and no dict whose keys fall into a few of libplist's chains.
void Gate::check_keys(std::size_t first) {
  auto const begin = seen_.begin() + static_cast<std::ptrdiff_t>(first);
  auto const chain = [](SeenKey const& key) { return key.hash & 0xfffU; };
  std::sort(begin, seen_.end(), [&](SeenKey const& a, SeenKey const& b) {
    return std::pair(chain(a), a.hash) < std::pair(chain(b), b.hash);
  });
  auto chain_start = begin;
  auto hash_start = begin;
  for (auto key = begin; key != seen_.end(); ++key) {
    if (chain(*key) != chain(*chain_start)) chain_start = key;
    if (key->hash != hash_start->hash) hash_start = key;
    if (static_cast<std::size_t>(key - chain_start) >= kKeysPerChain ||
        static_cast<std::size_t>(key - hash_start) >= kKeysPerHash) {
      refuse("keys chosen to collide");
      return;
    }
    if (std::any_of(hash_start, key, [&](SeenKey const& other) { return same_key(*key, other); })) {
      if (levels_.size() == 1) top_.clear();
      refuse("a key twice in one dict");
      return;
    }
  }
}

}  // namespace

std::vector<Time> scan_plist(std::string_view xml, PlistLimits const& limits, TopStrings& top) {
  top.clear();
  return Gate(xml, limits, top).run();
}

void check_plist(std::string_view xml, PlistLimits const& limits, TopStrings& top) {
  scan_plist(xml, limits, top);
}

}  // namespace sys
