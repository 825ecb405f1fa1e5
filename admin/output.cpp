#include "output.hpp"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include "service/expiry.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

using Json = nlohmann::ordered_json;

Json to_json(Value const& value) {
  return std::visit(
      [](auto const& held) -> Json {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, sys::Time>) {
          return sys::iso_time(held);
        } else if constexpr (std::is_same_v<T, List>) {
          Json out = Json::array();
          for (auto const& item : held) out.push_back(to_json(item));
          return out;
        } else if constexpr (std::is_same_v<T, Object>) {
          Json out = Json::object();
          for (auto const& [key, item] : held) out[key] = to_json(item);
          return out;
        } else {
          return Json(held);
        }
      },
      value.get());
}

std::size_t shown_width(std::string_view text) {  // code points; enough for names and ids
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string cut(std::string const& text, std::size_t width) {
  if (shown_width(text) <= width) return text;
  std::size_t at = 0;
  for (std::size_t shown = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U && ++shown == width) break;
  }
  return text.substr(0, at) + "…";
}

std::string padded(std::string const& text, std::size_t width, bool right) {
  std::size_t const shown = shown_width(text);
  std::string const space(width > shown ? width - shown : 0, ' ');
  return right ? space + text : text + space;
}

// Takes from the widest column until the line fits; a column keeps at least 8 places.
void shrink(std::vector<std::size_t>& widths, std::size_t available) {
  constexpr std::size_t kLeast = 8;
  std::size_t const gaps = widths.empty() ? 0 : 2 * (widths.size() - 1);
  std::size_t total = gaps;
  for (auto const width : widths) total += width;
  while (total > available) {
    auto const widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kLeast) return;
    --*widest;
    --total;
  }
}

std::string line_of(std::vector<std::string> const& cells, std::vector<std::size_t> const& widths,
                    std::vector<bool> const& right) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += "  ";
    line += padded(cut(cells[i], widths[i]), widths[i], right[i]);
  }
  while (line.ends_with(' ')) line.pop_back();
  return line + '\n';
}

std::string field_lines(std::vector<Field> const& fields, std::string const& indent) {
  std::size_t width = 0;
  for (auto const& field : fields) width = std::max(width, shown_width(field.title));
  std::string out;
  for (auto const& field : fields) {
    if (!field.title.empty())
      out += indent + padded(field.title + ':', width + 2, false) + cell_text(field.value) + '\n';
  }
  return out;
}

std::size_t terminal_width() {
  winsize size{};
  if (::isatty(STDOUT_FILENO) == 0 || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

std::string expiry_state(CertificateBlock const& block, sys::Time now) {
  if (block.invalid) return "INVALID: " + *block.invalid;
  return service::expiry_words(block.not_before, block.not_after, now);
}

void print(std::string const& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace

std::string cell_text(Value const& value) {
  return std::visit(
      [](auto const& held) -> std::string {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, std::nullptr_t>) {
          return "-";
        } else if constexpr (std::is_same_v<T, bool>) {
          return held ? "yes" : "no";
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
          return std::to_string(held);
        } else if constexpr (std::is_same_v<T, std::string>) {
          return sys::is_utf8(held) ? sys::escape_controls(held) : sys::hex(held);
        } else if constexpr (std::is_same_v<T, sys::Time>) {
          return sys::sql_time(held).substr(0, 19);
        } else if constexpr (std::is_same_v<T, List>) {
          std::string out;
          for (auto const& item : held) out += (out.empty() ? "" : ", ") + cell_text(item);
          return out.empty() ? "-" : out;
        } else {
          std::string out;
          for (auto const& [key, item] : held) out += (out.empty() ? "" : ", ") + key + ' ' + cell_text(item);
          return out.empty() ? "-" : out;
        }
      },
      value.get());
}

std::string json_text(Value const& value) {
  return to_json(value).dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string table_text(Table const& table, std::size_t width, bool headers) {
  std::vector<std::size_t> shown;  // columns of the table
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    if (!table.columns[i].title.empty()) shown.push_back(i);
  std::vector<std::vector<std::string>> lines(headers ? 1 : 0);
  std::vector<bool> right;
  for (auto const i : shown) {
    if (headers) lines[0].push_back(table.columns[i].title);
    right.push_back(table.columns[i].right);
  }
  for (auto const& row : table.rows) {
    auto& cells = lines.emplace_back();
    for (auto const i : shown) cells.push_back(cell_text(row.at(i)));
  }
  std::vector<std::size_t> widths(shown.size(), 0);
  for (auto const& cells : lines)
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], shown_width(cells[i]));
  if (width > 0) shrink(widths, width);
  std::string out;
  for (auto const& cells : lines) out += line_of(cells, widths, right);
  return out;
}

Value table_value(Table const& table) {
  List out;
  for (auto const& row : table.rows) {
    Object object;
    for (std::size_t i = 0; i < table.columns.size(); ++i)
      object.emplace_back(table.columns[i].key, row.at(i));
    out.emplace_back(std::move(object));
  }
  return out;
}

std::string certificate_text(CertificateBlock const& block, sys::Time now) {
  std::string const expiry = sys::certbot_time(block.not_after) + " (" + expiry_state(block, now) + ')';
  std::vector<Field> fields = block.fields;
  fields.push_back({"", "Expiry Date", expiry});
  fields.insert(fields.end(), block.notes.begin(), block.notes.end());
  std::string out = "  " + cell_text(block.title) + '\n';
  for (auto const& field : fields)
    if (!field.title.empty()) out += "    " + field.title + ": " + cell_text(field.value) + '\n';
  return out;
}

Value certificate_value(CertificateBlock const& block, sys::Time now) {
  Object out{{"title", block.title}};
  for (auto const* fields : {&block.fields, &block.notes})
    for (auto const& field : *fields)
      if (!field.key.empty()) out.emplace_back(field.key, field.value);
  out.emplace_back("not_before", block.not_before);
  out.emplace_back("not_after", block.not_after);
  out.emplace_back("state", expiry_state(block, now));
  out.emplace_back("days_left", std::chrono::floor<std::chrono::days>(block.not_after - now).count());
  return out;
}

void Output::table(Table const& table) const {
  if (json_) return print(json_text(table_value(table)));
  if (table.rows.empty()) return line(table.nothing);
  print(table_text(table, terminal_width(), headers_));
}

void Output::fields(std::vector<Field> const& fields) const {
  if (!json_) return print(field_lines(fields, ""));
  Object object;
  for (auto const& field : fields) object.emplace_back(field.key, field.value);
  print(json_text(object));
}

void Output::certificates(std::vector<CertificateBlock> const& blocks, std::string const& nothing,
                          sys::Time now) const {
  if (json_) {
    List list;
    for (auto const& block : blocks) list.push_back(certificate_value(block, now));
    return print(json_text(list));
  }
  if (blocks.empty()) return line(nothing);
  std::string out;
  for (auto const& block : blocks) out += (out.empty() ? "" : "\n") + certificate_text(block, now);
  print(out);
}

void Output::value(Value const& value) const {
  if (json_) print(json_text(value));
}

void Output::line(std::string const& text) const {
  if (!json_ && !text.empty()) print(text + '\n');
}

}  // namespace admin
