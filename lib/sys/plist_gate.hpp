// Inside of sys/plist: the scan that stands before libplist. Others include sys/plist.hpp.
//
// Sources: the property list DTD (PropertyList-1.0.dtd), XML 1.0 sections 2.2 (Char) and 4.1 (references),
// and the behaviour of libplist 2.2.0, whose costs the limits bound.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/plist.hpp"
#include "sys/time.hpp"

namespace sys {

// check_plist(), which also lists the dates in the order of the document: libplist hands dates out as 32-bit
// seconds, and Apple's distant past and distant future do not fit.
std::vector<Time> scan_plist(std::string_view xml, PlistLimits const& limits, TopStrings& top);

// Text of an element with its references resolved; nullopt for anything but the five names and references to
// characters that XML 1.0 allows.
std::optional<std::string> resolve_references(std::string_view text);

// The elements that hold text and are neither string nor key.
enum class LeafKind { integer, real, boolean, data, date };
std::optional<LeafKind> leaf_kind(std::string_view element) noexcept;
// Why the text may not stand in such an element, or nullptr. Stricter than libplist, which reads 010 as
// octal, drops what is not base64 and takes any text for a date.
char const* check_leaf(LeafKind kind, std::string_view text) noexcept;

// Whether XML 1.0 allows the character (control characters, surrogates and U+FFFE, U+FFFF are out).
bool is_xml_character(std::uint32_t code) noexcept;

}  // namespace sys
