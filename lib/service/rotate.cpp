#include "service/rotate.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <thread>

#include "service/key_files.hpp"
#include "store/events.hpp"
#include "store/reseal.hpp"
#include "sys/crash_point.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using sys::Error;
using sys::Fault;
using sys::SealKey;
using Clock = std::chrono::steady_clock;

std::vector<SealKey> keys_of(std::string const& key_dir, std::string const& domain, MasterKey const& master) {
  try {
    return read_domain_keys(key_dir, domain, master);
  } catch (Error const& error) {
    if (error.fault() != Fault::not_found) throw;
    throw Error(Fault::not_found, std::string(error.what()) + "; `pomona secrets init` makes it again");
  }
}

MasterKey master_of(std::string const& key_dir) {
  try {
    return read_master_key(master_key_path(key_dir));
  } catch (Error const& error) {
    if (error.fault() != Fault::not_found) throw;
    throw Error(Fault::not_found, std::string(error.what()) +
                                      "; put it back from a backup, or make one with `pomona secrets init`");
  }
}

bool has(std::vector<SealKey> const& keys, SealKey const& wanted) {
  return std::ranges::any_of(keys, [&](SealKey const& key) { return key.key_id() == wanted.key_id(); });
}

KeyStage file_stage(std::vector<SealKey> const& keys, SealKey const& wanted) {
  if (!has(keys, wanted)) return KeyStage::wanted;
  if (keys.front().key_id() != wanted.key_id()) return KeyStage::written;
  return keys.size() > 1 ? KeyStage::resealing : KeyStage::settled;
}

DomainKeys standing_of(sys::Db& db, std::string const& key_dir, std::string const& domain,
                       MasterKey const& master) {
  auto const keys = keys_of(key_dir, domain, master);
  auto const wanted = master.domain_key(domain);
  DomainKeys standing{domain, file_stage(keys, wanted), keys.front().key_id(), master.generation(domain)};
  for (auto const& [key_id, count] : store::count_by_key(db, domain)) {
    standing.values += count;
    if (key_id == wanted.key_id()) continue;
    (master.find(domain, key_id) ? standing.older : standing.unopenable) += count;
  }
  bool const begun = standing.older > 0 || master.rotating.contains(domain) || master.previous;
  if (standing.stage == KeyStage::settled && begun) standing.stage = KeyStage::resealing;
  return standing;
}

// Keys by id, each derived once: an unknown one costs thousands of derivations.
class Finder {
 public:
  Finder(MasterKey const& master, std::string const& domain) : master_(master), domain_(domain) {}
  std::optional<SealKey> operator()(std::string_view key_id) {
    auto const found = known_.find(std::string(key_id));
    if (found != known_.end()) return found->second;
    return known_.emplace(key_id, master_.find(domain_, key_id)).first->second;
  }

 private:
  MasterKey const& master_;
  std::string const& domain_;
  std::map<std::string, std::optional<SealKey>> known_;
};

// What one batch or pass came to.
struct Tally {
  std::uint64_t moved = 0;
  std::uint64_t unopenable = 0;
  std::vector<std::string> damaged;
};

std::string row_name(store::SealedTable table, sys::DbValue const& id) {
  auto const* number = std::get_if<std::int64_t>(&id.get());
  auto const* bytes = std::get_if<std::string>(&id.get());
  return std::string(store::sealed_table_name(table)) + ' ' +
         (number != nullptr ? std::to_string(*number) : sys::hex(bytes != nullptr ? *bytes : ""));
}

class Rotation {
 public:
  Rotation(sys::Db& db, std::string const& key_dir, RotateWish const& wish, RotateObserver const& observer)
      : db_(db), key_dir_(key_dir), wish_(wish), observer_(observer), master_(master_of(key_dir)) {}

  // Domains whose files are not as master.key wants them.
  [[nodiscard]] std::vector<std::string> unfinished() const {
    std::vector<std::string> domains;
    for (auto const& domain : key_domains()) {
      auto const stage = file_stage(keys_of(key_dir_, domain, master_), master_.domain_key(domain));
      bool const begun = master_.rotating.contains(domain) || master_.previous;
      if (begun || stage != KeyStage::settled) domains.push_back(domain);
    }
    return domains;
  }
  [[nodiscard]] MasterKey const& master() const noexcept { return master_; }

  // master.key may be an older copy that knows nothing of later keys, which were made because of a leak: the
  // latest that anything here is under is the least that is wanted.
  void catch_up() {
    bool raised = false;
    for (auto const& domain : key_domains()) {
      auto ids = store::count_by_key(db_, domain);
      for (auto const& key : keys_of(key_dir_, domain, master_)) ids.try_emplace(key.key_id(), 0);
      int latest = master_.generation(domain);
      for (auto const& [key_id, count] : ids) {
        if (key_id == master_.domain_key(domain).key_id()) continue;
        latest = std::max(latest, master_.generation_of(domain, key_id));
      }
      raised = raised || latest > master_.generation(domain);
      master_.generations[domain] = latest;
    }
    if (raised) write_master_key(key_dir_, master_);
  }

  void begin(std::vector<std::string> const& domains) {
    master_.rotating.insert(domains.begin(), domains.end());
    if (wish_.master) {
      master_.previous = std::move(master_.key);
      master_.key = new_master_key().key;
      new_master_ = true;
    } else {
      for (auto const& domain : domains) next_generation(domain);
    }
    std::string names;
    for (auto const& domain : domains) names += ' ' + domain;
    tell("secrets.rotation-begun", (wish_.master ? "new master key, domains:" : "domains:") + names);
    write_master_key(key_dir_, master_);
    sys::crash_point("rotate-wanted");
  }

  void bring_there(std::vector<std::string> const& domains) {
    new_master_ = new_master_ || master_.previous;
    for (auto const& domain : domains) reports_.try_emplace(domain, RotatedDomain{domain});
    for (auto const& domain : domains) write_new(domain);
    for (auto const& domain : domains) seal_with_new(domain);
    reseal_until_none_is_left(domains);
    for (auto const& domain : domains) remove_old(domain);
    // Who worked for longer than anybody should have, or was stopped, may have sealed under the old key even
    // now. The key before can be derived later too, but not that of the previous master once it is gone.
    if (master_.previous) {
      reseal_until_none_is_left(domains);
    } else {
      for (auto const& domain : domains) pass(reports_.at(domain));
    }
    settle_master();
  }

  Rotated result(bool resumed) {
    Rotated rotated{resumed, new_master_, {}};
    for (auto const& domain : key_domains()) {
      auto const found = reports_.find(domain);
      if (found != reports_.end()) rotated.domains.push_back(found->second);
    }
    return rotated;
  }

 private:
  void next_generation(std::string const& domain) {
    int const next = master_.generation(domain) + 1;
    if (next > kMostGenerations) {
      throw Error(Fault::conflict,
                  domain + " has had " + std::to_string(kMostGenerations) +
                      " keys of this master; `pomona secrets rotate --master` makes a new one");
    }
    master_.generations[domain] = next;
  }

  void write_new(std::string const& domain) {
    auto keys = keys_of(key_dir_, domain, master_);
    auto const wanted = master_.domain_key(domain);
    if (has(keys, wanted)) return;
    keys.push_back(wanted);
    write_domain_keys(key_dir_, domain, keys);
    sys::crash_point("rotate-key-written");
  }

  void seal_with_new(std::string const& domain) {
    auto keys = keys_of(key_dir_, domain, master_);
    auto const wanted = master_.domain_key(domain);
    if (keys.front().key_id() == wanted.key_id()) return;
    std::erase_if(keys, [&](SealKey const& key) { return key.key_id() == wanted.key_id(); });
    keys.insert(keys.begin(), wanted);
    write_domain_keys(key_dir_, domain, keys);
    sys::crash_point("rotate-key-seals");
  }

  Tally reseal_batch(store::SealedTable table, std::vector<sys::DbValue> const& ids, SealKey const& wanted,
                     store::KeyFinder const& find) {
    auto tally = db_.transaction([&] {
      Tally batch;
      for (auto const& id : ids) {
        auto const done = store::reseal(db_, table, id, wanted, find);
        if (done == store::Resealed::moved) ++batch.moved;
        if (done == store::Resealed::no_key) ++batch.unopenable;
        if (done == store::Resealed::damaged) batch.damaged.push_back(row_name(table, id));
      }
      sys::crash_point("rotate-batch-written");
      return batch;
    });
    sys::crash_point("rotate-batch-committed");
    return tally;
  }

  // Returns how many values were moved.
  std::uint64_t pass(RotatedDomain& report) {
    auto const wanted = master_.domain_key(report.domain);
    Finder finder(master_, report.domain);
    store::KeyFinder const find = [&finder](std::string_view key_id) { return finder(key_id); };
    report.unopenable = 0;
    report.damaged.clear();
    auto const before = report.moved;
    for (auto const table : store::sealed_tables(report.domain)) {
      store::ResealPiece piece{{}, store::reseal_start(table), false};
      while (!piece.last) {
        piece = store::find_other_keys(db_, table, wanted, piece.next);
        if (piece.ids.empty()) continue;
        add(report, reseal_batch(table, piece.ids, wanted, find));
        observer_(report.domain + ": " + std::to_string(report.moved) + " values sealed anew");
      }
    }
    return report.moved - before;
  }

  static void add(RotatedDomain& report, Tally const& batch) {
    report.moved += batch.moved;
    report.unopenable += batch.unopenable;
    report.damaged.insert(report.damaged.end(), batch.damaged.begin(), batch.damaged.end());
  }

  void reseal_until_none_is_left(std::vector<std::string> const& domains) {
    auto quiet_since = Clock::now();
    while (true) {
      auto const began = Clock::now();
      std::uint64_t moved = 0;
      for (auto const& domain : domains) moved += pass(reports_.at(domain));
      sys::crash_point("rotate-pass-done");
      if (moved > 0) quiet_since = Clock::now();
      if (moved == 0 && began - quiet_since >= wish_.wait) return;
      auto const rest = quiet_since + wish_.wait - Clock::now();
      if (rest <= Clock::duration::zero()) continue;
      observer_("waiting until no program works with an old key any more");
      std::this_thread::sleep_for(rest);
    }
  }

  void remove_old(std::string const& domain) {
    auto& report = reports_.at(domain);
    auto const wanted = master_.domain_key(domain);
    report.key_id = wanted.key_id();
    report.generation = master_.generation(domain);
    report.settled = report.damaged.empty();
    if (!report.settled || keys_of(key_dir_, domain, master_).size() == 1) return;
    write_domain_keys(key_dir_, domain, {wanted});
    sys::crash_point("rotate-key-removed");
  }

  void tell(char const* what, std::string const& detail) {
    store::record_event(db_, {.what = what, .who = wish_.who, .detail = detail}, sys::current_time());
  }

  // The previous master leaves when every domain has left it.
  void settle_master() {
    auto const settled = [&](std::string const& domain) {
      return file_stage(keys_of(key_dir_, domain, master_), master_.domain_key(domain)) == KeyStage::settled;
    };
    if (master_.rotating.empty() && !master_.previous) return;
    // Told before it is written: once more after a kill, never not at all.
    for (auto const& domain : master_.rotating) {
      if (!settled(domain)) continue;
      tell("secrets.rotated", "domain " + domain + ": key " + sys::hex(master_.domain_key(domain).key_id()) +
                                  " is the only one");
    }
    std::erase_if(master_.rotating, settled);
    bool const whole =
        std::ranges::all_of(reports_, [](auto const& entry) { return entry.second.damaged.empty(); });
    if (whole && std::ranges::all_of(key_domains(), settled)) master_.previous.reset();
    write_master_key(key_dir_, master_);
    sys::crash_point("rotate-master-settled");
  }

  sys::Db& db_;
  std::string const& key_dir_;
  RotateWish const& wish_;
  RotateObserver const& observer_;
  MasterKey master_;
  bool new_master_ = false;
  std::map<std::string, RotatedDomain> reports_;
};

// Of what is wished: the domains that get new keys once everything unfinished is finished. Only what was
// begun by the same wish is not begun again; what is unfinished for another reason was no answer to it.
std::vector<std::string> still_to_begin(RotateWish const& wish, MasterKey const& before) {
  if (wish.master) return before.under_way() ? std::vector<std::string>() : key_domains();
  auto rest = wish.domains;
  std::erase_if(rest, [&](std::string const& domain) { return before.rotating.contains(domain); });
  return rest;
}

}  // namespace

std::vector<DomainKeys> key_standing(sys::Db& db, std::string const& key_dir) {
  auto const master = master_of(key_dir);
  std::vector<DomainKeys> all;
  for (auto const& domain : key_domains()) all.push_back(standing_of(db, key_dir, domain, master));
  return all;
}

bool master_rotation_under_way(std::string const& key_dir) { return master_of(key_dir).under_way(); }

Rotated rotate_keys(sys::Db& db, std::string const& key_dir, RotateWish const& wish,
                    RotateObserver const& observer) {
  sys::FolderLock const lock(key_dir);
  remove_key_leftovers(key_dir);
  Rotation rotation(db, key_dir, wish, observer);
  rotation.catch_up();
  auto const unfinished = rotation.unfinished();
  auto const rest = still_to_begin(wish, rotation.master());
  bool const only_go_on = !wish.master && wish.domains.empty();
  // Values of a restored backup are under older keys though no file says so.
  if (only_go_on || !unfinished.empty()) rotation.bring_there(only_go_on ? key_domains() : unfinished);
  if (!rest.empty()) {
    if (rotation.master().previous) {
      throw Error(Fault::conflict,
                  "no new key was made: values under keys of the previous master key do not open, so it must "
                  "stay. `pomona secrets rotate` names them; restore or delete these rows first");
    }
    rotation.begin(rest);
    rotation.bring_there(rest);
  }
  return rotation.result(!unfinished.empty());
}

}  // namespace service
