#include "sys/key_ring.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

constexpr std::size_t kKeySize = 32;

SealKey parse_line(std::string_view line, std::string const& path, std::string const& domain) {
  auto decoded = unhex(line);
  if (!decoded || decoded->size() != kKeySize) {
    throw Error(Fault::internal, path + ": neither lines of 64 hex digits nor 32 bytes");
  }
  return {domain, SecretBytes(std::move(*decoded))};
}

SealKey const* find(std::vector<SealKey> const& keys, std::string_view key_id) {
  auto const found = std::ranges::find_if(keys, [&](SealKey const& key) { return key.key_id() == key_id; });
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace

std::vector<SealKey> read_key_file(std::string const& path, std::string const& domain) {
  SecretBytes const text = read_secret_file(path);
  if (text.view().size() == kKeySize) return {SealKey(domain, text)};
  std::vector<SealKey> keys;
  std::string_view rest = text.view();
  while (true) {
    auto const end = rest.find('\n');
    keys.push_back(parse_line(rest.substr(0, end), path, domain));
    if (end == std::string_view::npos) return keys;
    rest.remove_prefix(end + 1);
  }
}

SecretBytes key_file_text(std::vector<SealKey> const& keys) {
  std::string text;
  text.reserve(keys.size() * (2 * kKeySize + 1));  // so that no copy is left behind unwiped
  for (auto const& key : keys) {
    SecretBytes const line(hex(key.bytes().view()));
    text += line.view();
    text += '\n';
  }
  return SecretBytes(std::move(text));
}

struct KeyRing::State {
  std::string domain;
  std::string path;
  std::mutex mutex;
  std::optional<FileStamp> stamp;  // of the file that `keys` are from
  bool complained = false;
  std::optional<FileStamp> told;  // of the file that could not be read
  std::vector<SealKey> keys;

  // With the mutex held. The stamp is taken first: a file that is replaced meanwhile is read again next time.
  void read() {
    auto const now = file_stamp(path);
    keys = read_key_file(path, domain);
    stamp = now;
    complained = false;
  }
  // Gone, or half an admin's work: what we hold still serves, but whoever rotates keys must hear of it. Told
  // once for each file.
  void read_again() noexcept {
    auto const now = file_stamp(path);
    try {
      read();
    } catch (std::exception const& error) {
      if (std::exchange(complained, true) && now == told) return;
      told = now;
      LogLine("key-file.unreadable").add("file", path).add("error", error.what()).write();
    }
  }
  void look() noexcept {
    if (file_stamp(path) != stamp) read_again();
  }
};

KeyRing KeyRing::from_file(std::string const& folder, std::string const& domain) {
  auto state = std::make_shared<State>();
  state->domain = domain;
  state->path = folder + '/' + domain + ".key";
  state->read();
  return KeyRing(std::move(state));
}

std::string const& KeyRing::domain() const noexcept { return state_->domain; }

SealKey KeyRing::sealing() const {
  std::lock_guard const lock(state_->mutex);
  state_->look();
  return state_->keys.front();
}

std::vector<SealKey> KeyRing::all() const {
  std::lock_guard const lock(state_->mutex);
  state_->look();
  return state_->keys;
}

SealKey KeyRing::opening(std::string_view key_id) const {
  std::lock_guard const lock(state_->mutex);
  state_->look();
  if (auto const* key = find(state_->keys, key_id)) return *key;
  // Two files that follow each other within one tick of the clock may have the same stamp.
  state_->read_again();
  if (auto const* key = find(state_->keys, key_id)) return *key;
  throw Error(Fault::internal, "open sealed value of domain " + state_->domain +
                                   ": it was sealed under key " + hex(key_id) + ", which is not in " +
                                   state_->path + "; `pomona secrets rotate --status` says what is");
}

std::string KeyRing::seal_column(std::string_view purpose, std::string_view plain) const {
  return sealing().seal_column(purpose, plain);
}

std::string KeyRing::open_column(std::string_view sealed, std::string_view purpose, std::size_t limit) const {
  auto const key_id = SealKey::column_key_id(sealed);
  // Too short to name a key: any one refuses it.
  auto const key = key_id.empty() ? sealing() : opening(key_id);
  return key.open_column(sealed, purpose, limit);
}

}  // namespace sys
