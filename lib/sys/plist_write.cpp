#include <array>
#include <charconv>
#include <cmath>

#include "sys/error.hpp"
#include "sys/plist.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

constexpr std::string_view kProlog =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
    "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
    "<plist version=\"1.0\">\n";
constexpr std::size_t kDeepest = 512;

bool forbidden(unsigned char byte) noexcept {
  return byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r';
}

class Writer {
 public:
  std::string write(Plist const& plist) {
    out_ = kProlog;
    value(plist);
    out_ += "</plist>\n";
    return std::move(out_);
  }

 private:
  void value(Plist const& plist) {
    std::visit([this](auto const& item) { put(item); }, plist.value());
  }

  void put(PlistDict const& dict) {
    if (dict.empty()) {
      line("<dict/>");
      return;
    }
    open("<dict>");
    for (auto const& [key, member] : dict) {
      element("key", escaped(key));
      value(member);
    }
    close("</dict>");
  }

  void put(PlistArray const& array) {
    if (array.empty()) {
      line("<array/>");
      return;
    }
    open("<array>");
    for (auto const& member : array) value(member);
    close("</array>");
  }

  // Lines end before column 76, as Apple's tools and Python's plistlib break them.
  void put(PlistData const& data) {
    constexpr std::size_t kColumns = 76;
    constexpr std::size_t kTab = 8;
    constexpr std::size_t kShortest = 16;
    std::size_t const width =
        depth_ * kTab + kShortest > kColumns ? kShortest : (kColumns - depth_ * kTab) / 4 * 4;
    line("<data>");
    std::string const digits = base64(data.bytes);
    for (std::size_t at = 0; at < digits.size(); at += width)
      line(std::string_view(digits).substr(at, width));
    line("</data>");
  }

  void put(std::string const& text) { element("string", escaped(text)); }
  void put(std::int64_t number) { element("integer", std::to_string(number)); }
  void put(bool truth) { line(truth ? "<true/>" : "<false/>"); }
  void put(Time time) { element("date", iso_time(time)); }

  void put(double number) {
    if (std::isnan(number)) {
      element("real", "nan");
    } else if (std::isinf(number)) {
      element("real", number > 0 ? "+infinity" : "-infinity");
    } else {
      std::array<char, 32> digits{};
      auto const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
      element("real", std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
    }
  }

  // A carriage return is written as a reference: an XML parser turns a bare one into a line feed.
  static std::string escaped(std::string_view text) {
    if (!is_utf8(text)) throw Error(Fault::bad_request, "write property list: a string is not UTF-8");
    std::string out;
    out.reserve(text.size());
    for (char const c : text) {
      if (forbidden(static_cast<unsigned char>(c)))
        throw Error(Fault::bad_request,
                    "write property list: a string holds a control character that XML forbids");
      if (c == '&') {
        out += "&amp;";
      } else if (c == '<') {
        out += "&lt;";
      } else if (c == '>') {
        out += "&gt;";
      } else if (c == '\r') {
        out += "&#13;";
      } else {
        out += c;
      }
    }
    if (out.find("\xef\xbf\xbe") != std::string::npos || out.find("\xef\xbf\xbf") != std::string::npos)
      throw Error(Fault::bad_request, "write property list: a string holds a character that XML forbids");
    return out;
  }

  void line(std::string_view text) {
    out_.append(depth_, '\t');
    out_ += text;
    out_ += '\n';
  }
  void element(std::string_view name, std::string_view content) {
    out_.append(depth_, '\t');
    out_ += '<';
    out_ += name;
    out_ += '>';
    out_ += content;
    out_ += "</";
    out_ += name;
    out_ += ">\n";
  }
  void open(std::string_view tag) {
    if (depth_ >= kDeepest) throw Error(Fault::internal, "write property list: nested too deep");
    line(tag);
    ++depth_;
  }
  void close(std::string_view tag) {
    --depth_;
    line(tag);
  }

  std::string out_;
  std::size_t depth_ = 0;
};

}  // namespace

std::string write_plist(Plist const& plist) { return Writer().write(plist); }

}  // namespace sys
