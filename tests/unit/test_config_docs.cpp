// A configuration key stands in three places: the option table, the struct, docs/operations.md. This compares
// the first and the last.
#include <algorithm>

#include <catch2/catch.hpp>

#include "service/config.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace {

struct DocumentedKey {
  std::string key;
  std::string fallback;
};

// Rows of the form | `key` | `default` or words | ... under the heading "3. Configuration".
std::vector<DocumentedKey> documented_keys() {
  std::string const text = sys::read_file(POMONA_TEST_DATA "/../../docs/operations.md");
  auto const from = text.find("## 3. Configuration");
  auto const to = text.find("\n## 4.");
  REQUIRE(from != std::string::npos);
  std::vector<DocumentedKey> out;
  for (auto const line : sys::split(std::string_view(text).substr(from, to - from), '\n')) {
    auto const cells = sys::split(line, '|');
    if (cells.size() < 4 || !sys::trim(cells[1]).starts_with('`')) continue;
    auto const strip = [](std::string_view cell) {
      cell = sys::trim(cell);
      bool const quoted = cell.size() > 1 && cell.starts_with('`') && cell.find('`', 1) == cell.size() - 1;
      return quoted ? std::string(cell.substr(1, cell.size() - 2)) : std::string();
    };
    out.push_back({strip(cells[1]), strip(cells[2])});
  }
  return out;
}

}  // namespace

TEST_CASE("every configuration key is documented with its default, and nothing else is") {
  auto const documented = documented_keys();
  auto const options = service::config_options();
  for (auto const& option : options) {
    INFO(option.key);
    auto const found = std::find_if(documented.begin(), documented.end(),
                                    [&](auto const& row) { return row.key == option.key; });
    REQUIRE(found != documented.end());
    CHECK(found->fallback == option.fallback);
  }
  CHECK(documented.size() == options.size());
}
