#include "world.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "input.hpp"
#include "service/program.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace fuzz {

namespace {

std::string conf_file() {
  char const* const named = std::getenv("POMONA_FUZZ_CONF");
  if (named != nullptr) return named;
  std::cerr
      << "This fuzz target needs a database. Start it with scripts/fuzz, or name the configuration that "
         "tests/rig/fuzz_world.py made in POMONA_FUZZ_CONF.\n";
  std::_Exit(2);
}

service::Config read_config(std::string const& program) {
  sys::OptionTable const table{service::config_options(), service::common_options(), "POMONA_", ""};
  return service::make_config(sys::parse_options(table, {"--config", conf_file()}), program);
}

std::vector<Identity> read_identities(std::string const& folder) {
  std::vector<std::string> files;
  for (auto const& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Identity> out;
  for (auto const& file : files) {
    auto const pem = sys::read_file(file);
    out.push_back({sys::Cert::from_pem(pem), sys::Key::read_private(pem)});
  }
  demand(!out.empty());
  return out;
}

}  // namespace

World::World(std::string const& program) try
    : folder_(std::filesystem::path(conf_file()).parent_path()),
      config_(read_config(program)),
      identities_(read_identities(folder_ + "/identities")),
      admin_(service::open_database(read_config("pomona"))) {
  restore();
} catch (sys::Error const& error) {
  std::cerr << "the database of this fuzz target cannot be used: " << error.what() << '\n';
  std::_Exit(2);
}

std::string World::file(std::string const& name) const { return sys::read_file(folder_ + '/' + name); }

std::vector<std::string> World::lines(std::string const& name) const {
  auto const text = file(name);
  std::vector<std::string> out;
  for (auto const line : sys::split(sys::trim(text), '\n')) out.emplace_back(line);
  return out;
}

void World::restore() { admin_.execute("CALL fuzz_world.restore()"); }

void check_answer(sys::Response const& response, std::string_view method, sys::LogLine const& line) {
  if (response.status < 200 || response.status >= 500 || response.status == 401) {
    std::cerr << "status " << response.status << ": " << line.str() << '\n';
    std::abort();
  }
  demand(!sys::encode_response(response, method).empty());
  constexpr std::size_t kLongestLine = 8U << 10U;
  demand(line.str().size() < kLongestLine);
  demand(std::none_of(line.str().begin(), line.str().end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; }));
}

void check_secret(sys::LogLine const& line, std::string_view secret) {
  constexpr std::size_t kShortest = 12;
  if (secret.size() < kShortest || line.str().find(secret) == std::string::npos) return;
  std::cerr << "a secret in the log: " << line.str() << '\n';
  std::abort();
}

}  // namespace fuzz
