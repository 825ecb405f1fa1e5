// Key files with two keys: the first one seals, both open, and a file that was replaced is read again.
#include <catch2/catch.hpp>

#include "folder.hpp"
#include "service/key_files.hpp"
#include "sys/error.hpp"
#include "sys/key_ring.hpp"

namespace {

using sys::SealKey;
using sys::SecretBytes;

SealKey key(char byte) { return {"message", SecretBytes(std::string(32, byte))}; }

void write_keys(Folder const& folder, std::vector<SealKey> const& keys) {
  service::write_domain_keys(folder.path(), "message", keys);
}

sys::KeyRing ring_of(Folder const& folder) { return sys::KeyRing::from_file(folder.path(), "message"); }

}  // namespace

TEST_CASE("the first key of a file seals and every one opens") {
  Folder const folder;
  write_keys(folder, {key('n'), key('o')});
  auto const ring = ring_of(folder);
  CHECK(ring.sealing().key_id() == key('n').key_id());
  CHECK(ring.open_column(key('o').seal_column("p", "old"), "p") == "old");
  CHECK(ring.open_column(key('n').seal_column("p", "new"), "p") == "new");
  CHECK(key('n').open_column(ring.seal_column("p", "v"), "p") == "v");
  CHECK_THROWS_AS(ring.open_column(key('x').seal_column("p", "v"), "p"), sys::Error);
  CHECK_THROWS_AS(ring.open_column("short", "p"), sys::Error);
}

TEST_CASE("a ring follows the file through a rotation, and so does its copy") {
  Folder const folder;
  write_keys(folder, {key('o')});
  auto const ring = ring_of(folder);
  auto const copy = ring;  // NOLINT(performance-unnecessary-copy-initialization)
  auto const old_value = ring.seal_column("p", "v");
  write_keys(folder, {key('o'), key('n')});
  CHECK(ring.sealing().key_id() == key('o').key_id());
  CHECK(copy.open_column(key('n').seal_column("p", "w"), "p") == "w");
  write_keys(folder, {key('n'), key('o')});
  CHECK(copy.sealing().key_id() == key('n').key_id());
  CHECK(ring.open_column(old_value, "p") == "v");
  write_keys(folder, {key('n')});
  CHECK_THROWS_AS(ring.open_column(old_value, "p"), sys::Error);
  CHECK(ring.all().size() == 1);
}

TEST_CASE("a key file that is gone or damaged leaves a running program what it has read") {
  Folder const folder;
  write_keys(folder, {key('o')});
  auto const ring = ring_of(folder);
  folder.put("message.key", "half a li");
  CHECK(ring.sealing().key_id() == key('o').key_id());
  REQUIRE(folder.run("rm message.key"));
  CHECK(ring.sealing().key_id() == key('o').key_id());
  CHECK_THROWS_AS(ring_of(folder), sys::Error);
}

TEST_CASE("a key file is lines of 64 hex digits or 32 bytes, and nothing else") {
  Folder const folder;
  folder.put("message.key", std::string(32, 'o'));
  CHECK(ring_of(folder).sealing().key_id() == key('o').key_id());
  for (std::string const& text : {std::string(), std::string(64, 'g'), std::string(62, 'a'),
                                  std::string(64, 'a') + "\n\n" + std::string(64, 'b')}) {
    folder.put("message.key", text);
    CHECK_THROWS_AS(ring_of(folder), sys::Error);
  }
}

TEST_CASE("a value that gets another key keeps its id and opens under that key alone") {
  auto const sealed = key('o').seal("p", "v");
  auto const moved = key('n').seal_as(sealed.id, "p", key('o').open(sealed, "p").view());
  CHECK(moved.id == sealed.id);
  CHECK(moved.nonce != sealed.nonce);
  CHECK(key('n').open(moved, "p").str() == "v");
  CHECK_THROWS_AS(key('o').open(moved, "p"), sys::Error);
}

TEST_CASE("a master key file says which keys the domains have and had") {
  auto master = service::new_master_key();
  CHECK(service::master_key_text(master).view().size() == 65);
  auto const first = master.domain_key("push");
  master.generations["push"] = 3;
  master.rotating = {"push", "ca"};
  master.previous = SecretBytes(std::string(32, 'p'));
  auto const again = service::parse_master_key(SecretBytes(service::master_key_text(master).str().substr(
                                                   0, service::master_key_text(master).view().size() - 1)),
                                               "master.key");
  CHECK(again.generation("push") == 3);
  CHECK(again.generation("ca") == 1);
  CHECK(again.rotating == master.rotating);
  CHECK(again.domain_key("push").key_id() == master.domain_key("push").key_id());
  CHECK(again.domain_key("push").key_id() != first.key_id());
  CHECK(again.find("push", first.key_id()).has_value());
  CHECK(again.find("ca", SealKey::from_master("ca", *master.previous).key_id()).has_value());
  CHECK_FALSE(again.find("ca", first.key_id()).has_value());
}

TEST_CASE("a master key file with anything else in it is refused") {
  std::string const good(64, 'a');
  for (std::string const& text :
       {std::string(), good + "\npush", good + "\npush 0", good + "\npush 1001", good + "\nnobody 2",
        good + "\nrotating nobody", good + "\nprevious aa", good + "\n\n"}) {
    CHECK_THROWS_AS(service::parse_master_key(SecretBytes(text), "master.key"), sys::Error);
  }
}
