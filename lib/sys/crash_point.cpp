#include "sys/crash_point.hpp"

#ifdef POMONA_TEST_BUILD

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>

#include <unistd.h>

#include "sys/text.hpp"

namespace sys {

namespace {

struct Order {
  std::string_view name;
  std::string_view probability;  // empty: at the first passage
};

Order read_order(std::string_view text) {
  text = trim(text);
  auto const colon = text.find(':');
  if (colon == std::string_view::npos) return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool falls(std::string_view probability) {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  double const wanted = std::strtod(std::string(probability).c_str(), nullptr);
  return std::uniform_real_distribution<double>(0, 1)(generator) < wanted;
}

std::string content_of(std::string const& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

}  // namespace

void crash_point(std::string_view name) {
  char const* wanted = std::getenv("POMONA_CRASH_AT");
  if (wanted == nullptr) return;
  std::string text = wanted;
  std::string const file = text.starts_with('@') ? text.substr(1) : std::string();
  if (!file.empty()) text = content_of(file);
  Order const order = read_order(text);
  if (order.name != name && order.name != "*") return;
  bool const once = order.probability.empty();
  bool const dies = once ? file.empty() || ::unlink(file.c_str()) == 0 : falls(order.probability);
  if (dies) std::raise(SIGKILL);
}

}  // namespace sys

#endif
