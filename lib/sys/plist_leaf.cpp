#include <charconv>
#include <limits>

#include "sys/plist_gate.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

void append_utf8(std::string& out, std::uint32_t code) {
  auto const tail = [code](unsigned shift) { return static_cast<char>(0x80U | ((code >> shift) & 0x3fU)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += {static_cast<char>(0xc0U | (code >> 6U)), tail(0)};
  } else if (code < 0x10000) {
    out += {static_cast<char>(0xe0U | (code >> 12U)), tail(6), tail(0)};
  } else {
    out += {static_cast<char>(0xf0U | (code >> 18U)), tail(12), tail(6), tail(0)};
  }
}

std::optional<std::uint32_t> numeric_reference(std::string_view digits) {
  int const base = digits.starts_with('x') ? 16 : 10;
  if (base == 16) digits.remove_prefix(1);
  std::uint32_t code = 0;
  auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, base);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return is_xml_character(code) ? std::optional(code) : std::nullopt;
}

// What stands between '&' and ';'.
std::optional<std::uint32_t> reference(std::string_view name) {
  if (name == "amp") return '&';
  if (name == "lt") return '<';
  if (name == "gt") return '>';
  if (name == "quot") return '"';
  if (name == "apos") return '\'';
  if (name.starts_with('#')) return numeric_reference(name.substr(1));
  return std::nullopt;
}

// An optional sign, then decimal digits without leading zero, or 0x and hexadecimal ones; 64 bits, signed.
bool is_integer(std::string_view text) noexcept {
  constexpr std::size_t kLongest = 24;
  bool const negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  bool const hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  if (text.size() > kLongest || (!hexadecimal && text.size() > 1 && text[0] == '0')) return false;
  std::uint64_t value = 0;
  auto const [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();
  return error == std::errc{} && end == text.data() + text.size() && value <= kLargest + (negative ? 1U : 0U);
}

bool is_real(std::string_view text) noexcept {
  constexpr std::size_t kLongest = 400;  // "%f" of the largest double has 316
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  if (text.size() > kLongest) return false;
  auto const unsigned_text = text.starts_with('-') ? text.substr(1) : text;
  if (unsigned_text == "inf" || unsigned_text == "infinity" || text == "nan") return true;
  if (text.find_first_not_of("0123456789+-.eE") != std::string_view::npos) return false;
  double value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// White space anywhere, whole groups of four, '=' at the end only.
bool is_base64(std::string_view text) noexcept {
  std::size_t digits = 0;
  std::size_t padding = 0;
  for (char const c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    bool const digit =
        (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
    if (!digit || padding > 0) return false;
    ++digits;
  }
  return padding <= 2 && (digits + padding) % 4 == 0 && digits % 4 != 1;
}

}  // namespace

std::optional<LeafKind> leaf_kind(std::string_view element) noexcept {
  if (element == "integer") return LeafKind::integer;
  if (element == "real") return LeafKind::real;
  if (element == "true" || element == "false") return LeafKind::boolean;
  if (element == "data") return LeafKind::data;
  if (element == "date") return LeafKind::date;
  return std::nullopt;
}

char const* check_leaf(LeafKind kind, std::string_view text) noexcept {
  constexpr std::size_t kDateLength = 20;
  switch (kind) {
    case LeafKind::integer:
      return is_integer(trim(text)) ? nullptr : "an <integer> that is none, or too large for 64 bits";
    case LeafKind::real:
      return is_real(trim(text)) ? nullptr : "a <real> that is none";
    case LeafKind::boolean:
      return text.empty() ? nullptr : "a boolean that holds text";
    case LeafKind::data:
      return is_base64(text) ? nullptr : "a <data> that is not base64";
    case LeafKind::date:
      return text.size() == kDateLength && parse_iso_time(text) ? nullptr : "a <date> that is none";
  }
  return "an unknown element";
}

bool is_xml_character(std::uint32_t code) noexcept {
  if (code < 0x20) return code == '\t' || code == '\n' || code == '\r';
  return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) && code != 0xfffe && code != 0xffff;
}

std::optional<std::string> resolve_references(std::string_view text) {
  constexpr std::size_t kLongest = 8;  // "#1114111"; libplist's own limit too
  std::string out;
  while (true) {
    auto const start = text.find('&');
    out += text.substr(0, start);
    if (start == std::string_view::npos) return out;
    text.remove_prefix(start + 1);
    auto const end = text.substr(0, kLongest + 1).find(';');
    if (end == std::string_view::npos) return std::nullopt;
    auto const code = reference(text.substr(0, end));
    if (!code) return std::nullopt;
    append_utf8(out, *code);
    text.remove_prefix(end + 1);
  }
}

}  // namespace sys
