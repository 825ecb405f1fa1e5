#include "service/master_key.hpp"

#include <algorithm>

#include "service/key_files.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using sys::Error;
using sys::Fault;

constexpr std::size_t kKeySize = 32;
constexpr std::string_view kPrevious = "previous ";
constexpr std::string_view kRotating = "rotating ";

bool is_domain(std::string const& name) { return std::ranges::count(key_domains(), name) > 0; }

sys::SecretBytes parse_key(std::string_view text, std::string const& path) {
  auto decoded = sys::unhex(text);
  if (!decoded || decoded->size() != kKeySize) {
    throw Error(Fault::conflict, path + ": not 64 hex digits; put the right one back from a backup");
  }
  return sys::SecretBytes(std::move(*decoded));
}

void parse_generation(std::string_view line, std::string const& path, MasterKey& master) {
  auto const space = line.find(' ');
  std::string const domain(line.substr(0, space));
  auto const number = space == std::string_view::npos
                          ? std::nullopt
                          : sys::parse_integer(std::string(line.substr(space + 1)));
  if (!is_domain(domain) || !number || *number < 1 || *number > kMostGenerations) {
    throw Error(Fault::conflict, path +
                                     ": a line behind the first is none of `DOMAIN N`, `rotating DOMAIN` and "
                                     "`previous` with 64 hex digits");
  }
  master.generations[domain] = static_cast<int>(*number);
}

std::optional<sys::SealKey> find_of(sys::SecretBytes const& master, std::string const& domain,
                                    std::string_view key_id, int most) {
  for (int generation = 1; generation <= most; ++generation) {
    auto key = sys::SealKey::from_master(domain, master, generation);
    if (key.key_id() == key_id) return key;
  }
  return std::nullopt;
}

}  // namespace

int MasterKey::generation(std::string const& domain) const {
  auto const found = generations.find(domain);
  return found == generations.end() ? 1 : found->second;
}

sys::SealKey MasterKey::domain_key(std::string const& domain) const {
  return sys::SealKey::from_master(domain, key, generation(domain));
}

// Beyond the generation that is written here too: this file may be an older copy.
std::optional<sys::SealKey> MasterKey::find(std::string const& domain, std::string_view key_id) const {
  if (auto wanted = domain_key(domain); wanted.key_id() == key_id) return wanted;
  if (auto found = find_of(key, domain, key_id, kMostGenerations)) return found;
  return previous ? find_of(*previous, domain, key_id, kMostGenerations) : std::nullopt;
}

int MasterKey::generation_of(std::string const& domain, std::string_view key_id) const {
  for (int generation = 1; generation <= kMostGenerations; ++generation)
    if (sys::SealKey::from_master(domain, key, generation).key_id() == key_id) return generation;
  return 0;
}

std::vector<sys::SealKey> MasterKey::domain_keys(std::string const& domain) const {
  std::vector<sys::SealKey> keys{domain_key(domain)};
  int const current = generation(domain);
  if (current > 1 && rotating.contains(domain))
    keys.push_back(sys::SealKey::from_master(domain, key, current - 1));
  if (previous) keys.push_back(sys::SealKey::from_master(domain, *previous, current));
  return keys;
}

MasterKey new_master_key() { return {sys::SecretBytes(sys::random_bytes(kKeySize))}; }

MasterKey parse_master_key(sys::SecretBytes const& text, std::string const& path) {
  MasterKey master;
  std::string_view rest = text.view();
  while (true) {
    auto const line = rest.substr(0, rest.find('\n'));
    if (master.key.empty()) {
      master.key = parse_key(line, path);
    } else if (line.starts_with(kPrevious)) {
      master.previous = parse_key(line.substr(kPrevious.size()), path);
    } else if (line.starts_with(kRotating) && is_domain(std::string(line.substr(kRotating.size())))) {
      master.rotating.emplace(line.substr(kRotating.size()));
    } else {
      parse_generation(line, path, master);
    }
    if (line.size() == rest.size()) return master;
    rest.remove_prefix(line.size() + 1);
  }
}

MasterKey read_master_key(std::string const& path) {
  return parse_master_key(sys::read_secret_file(path), path);
}

sys::SecretBytes master_key_text(MasterKey const& master) {
  constexpr std::size_t kLongest = 1024;
  std::string text;
  text.reserve(kLongest);  // so that no copy is left behind unwiped
  auto const add_key = [&text](sys::SecretBytes const& key) {
    sys::SecretBytes const line(sys::hex(key.view()));
    text += line.view();
    text += '\n';
  };
  add_key(master.key);
  for (auto const& [domain, generation] : master.generations) {
    if (generation > 1) text += domain + ' ' + std::to_string(generation) + '\n';
  }
  for (auto const& domain : master.rotating) text.append(kRotating).append(domain) += '\n';
  if (master.previous) {
    text += kPrevious;
    add_key(*master.previous);
  }
  return sys::SecretBytes(std::move(text));
}

}  // namespace service
