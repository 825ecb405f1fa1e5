// New keys for domains of secrets, under running programs: `pomona secrets rotate`.
//
// What is wanted is written first, into master.key: the next generation of a domain's key, or a new master
// with the previous one beside it. Everything else only brings files and rows there, so whatever ended a run,
// the next one goes on from what it finds: (1) each DOMAIN.key gets the new key as one that opens, (2) as the
// one that seals, (3) every value is sealed under it, (4) the old key leaves the file, the previous master
// too. Programs read a key file again when it was replaced (sys/key_ring.hpp); whoever sealed or read under
// the old key just before is given `wait`: the old key leaves after a whole pass that began so long after the
// last value was moved and found nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

struct RotateWish {
  std::vector<std::string> domains = {};  // none, and no new master: only go on with what is unfinished
  bool master = false;                    // a new master key, and so new keys for all domains
  sys::seconds wait{60};                  // longer than any program works on one request or batch
  std::string who = {};
};

// Where a domain stands.
enum class KeyStage {
  settled,   // one key, and everything is under it
  wanted,    // master.key names a new key that is not in the domain's file yet
  written,   // it is in the file and opens
  resealing  // it seals; older values, or the old key, are still there
};

struct DomainKeys {
  std::string domain;
  KeyStage stage = KeyStage::settled;
  std::string key_id;           // of the key that seals, 8 bytes
  int generation = 1;           // that the domain is to have
  std::int64_t values = 0;      // in the database
  std::int64_t older = 0;       // of these: under another key that can be derived
  std::int64_t unopenable = 0;  // of these: under a key that is nowhere here
};

// Error{not_found} when key files are missing, Error{conflict} when they contradict each other.
std::vector<DomainKeys> key_standing(sys::Db& db, std::string const& key_dir);
bool master_rotation_under_way(std::string const& key_dir);

struct RotatedDomain {
  std::string domain;
  std::string key_id = {};
  int generation = 1;
  bool settled = true;                    // false: the old key was kept, because of `damaged`
  std::uint64_t moved = 0;                // values sealed anew in this run
  std::uint64_t unopenable = 0;           // left as they are: under a key that is nowhere here
  std::vector<std::string> damaged = {};  // "results 17": its key is there, and it does not open
};

struct Rotated {
  bool resumed = false;     // something was unfinished and came first
  bool new_master = false;  // a new master key is in force
  std::vector<RotatedDomain> domains = {};
};

// Is told now and then, for people: "message: 1200 values sealed anew".
using RotateObserver = std::function<void(std::string const& text)>;

// What was begun before is finished first; what is wished and was part of that is not done twice. Error as
// key_standing(); Error{unavailable} while another process works on the key files, or when the database is
// away: run it again.
Rotated rotate_keys(sys::Db& db, std::string const& key_dir, RotateWish const& wish,
                    RotateObserver const& observer);

}  // namespace service
