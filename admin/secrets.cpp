// `pomona secrets`: the key files.
#include <algorithm>
#include <iostream>

#include <unistd.h>

#include "nouns.hpp"
#include "service/key_files.hpp"
#include "service/rotate.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

char const* outcome_word(service::KeyFile::Outcome outcome) {
  switch (outcome) {
    case service::KeyFile::Outcome::made:
      return "made";
    case service::KeyFile::Outcome::repaired:
      return "access put right";
    case service::KeyFile::Outcome::kept:
      return "kept";
  }
  return "kept";
}

std::string reader(service::KeyFile const& file) {
  if (file.group.empty()) return "owner only";
  return file.group_missing ? "owner only: no group " + file.group : file.group;
}

std::string octal(unsigned mode) {
  std::string text = "0000";
  for (std::size_t i = 4; i-- > 0; mode >>= 3U) text[i] = static_cast<char>('0' + (mode & 7U));
  return text;
}

int run_init(Context& context) {
  auto const files = service::init_key_files(context.config().key_dir, context.config().gate_file);
  Table table{
      {{"file", "FILE"}, {"mode", "MODE"}, {"readable_by", "READABLE BY"}, {"outcome", "OUTCOME"}}, {}, ""};
  bool fresh = false;
  bool gate_made = false;
  for (auto const& file : files) {
    table.rows.push_back({file.path, octal(file.mode), reader(file), outcome_word(file.outcome)});
    bool const made = file.outcome == service::KeyFile::Outcome::made;
    fresh = fresh || (made && file.path.ends_with("/master.key"));
    gate_made = gate_made || (made && file.path == context.config().gate_file);
  }
  context.out().table(table);
  if (fresh) {
    context.out().line(
        "\nKeep a copy of master.key away from this machine and from the database's backups: without it no "
        "backup\ncan be opened; with both, everything can.");
  }
  if (gate_made) {
    context.out().line("\nnginx must send the secret in " + context.config().gate_file +
                       " as fastcgi_param POMONA_GATE: see\nsnippets/pomona-gate.conf.example.");
  }
  return 0;
}

char const* stage_word(service::KeyStage stage) {
  switch (stage) {
    case service::KeyStage::settled:
      return "settled";
    case service::KeyStage::wanted:
      return "new key wanted";
    case service::KeyStage::written:
      return "new key written";
    case service::KeyStage::resealing:
      return "being sealed anew";
  }
  return "";
}

int print_status(Context& context) {
  Table table{{{"domain", "DOMAIN"},
               {"state", "STATE"},
               {"key", "SEALS WITH"},
               {"generation", "GENERATION", true},
               {"values", "VALUES", true},
               {"older", "UNDER OLDER KEYS", true},
               {"unopenable", "KEY MISSING", true}},
              {},
              ""};
  bool unfinished = false;
  bool unopenable = false;
  for (auto const& domain : service::key_standing(context.db(), context.config().key_dir)) {
    table.rows.push_back({domain.domain, stage_word(domain.stage), sys::hex(domain.key_id), domain.generation,
                          domain.values, domain.older, domain.unopenable});
    unfinished = unfinished || domain.stage != service::KeyStage::settled;
    unopenable = unopenable || domain.unopenable > 0;
  }
  context.out().table(table);
  if (unfinished) {
    context.out().line(
        "\nA rotation is unfinished, or values are under former keys: `pomona secrets rotate` goes on.");
  }
  if (unopenable) {
    context.out().line(
        "\nKEY MISSING counts values that no key derived from this master.key opens. If they come from a "
        "backup, add "
        "the\nmaster key of that time to master.key as a line `previous` and its 64 digits, and run `pomona "
        "secrets "
        "rotate`.");
  }
  return 0;
}

service::RotateWish rotate_wish(Context& context) {
  service::RotateWish wish{{}, context.has("master"), sys::seconds(60), context.who()};
  wish.wait = context.duration("wait").value_or(wish.wait);
  auto const& known = service::key_domains();
  for (auto const& argument : context.arguments()) {
    if (argument == "all") {
      wish.domains = known;
    } else if (std::ranges::count(known, argument) == 0) {
      context.usage(argument +
                    " is no domain; there are ca, signing, push, dep, escrow, message, https, and all");
    } else if (std::ranges::count(wish.domains, argument) == 0) {
      wish.domains.push_back(argument);
    }
  }
  if (wish.master && !wish.domains.empty())
    context.usage("with --master every domain gets a new key: name none");
  return wish;
}

// One line that is written over, on a terminal only.
class Progress {
 public:
  explicit Progress(bool wanted) : shown_(wanted && ::isatty(STDERR_FILENO) != 0) {}
  Progress(Progress const&) = delete;
  Progress& operator=(Progress const&) = delete;
  ~Progress() {
    if (began_) std::cerr << "\r\x1b[K" << std::flush;
  }
  void show(std::string const& text) {
    if (!shown_) return;
    began_ = true;
    std::cerr << "\r\x1b[K" << text << std::flush;
  }

 private:
  bool shown_;
  bool began_ = false;
};

int print_rotated(Context& context, service::Rotated const& rotated) {
  Table table{{{"domain", "DOMAIN"},
               {"key", "KEY"},
               {"generation", "GENERATION", true},
               {"moved", "SEALED ANEW", true},
               {"unopenable", "KEY MISSING", true},
               {"settled", "OLD KEY GONE"},
               {"damaged", ""}},
              {},
              ""};
  bool settled = true;
  for (auto const& domain : rotated.domains) {
    List damaged;
    for (auto const& row : domain.damaged) damaged.emplace_back(row);
    table.rows.push_back({domain.domain, sys::hex(domain.key_id), domain.generation, domain.moved,
                          domain.unopenable, domain.settled, damaged});
    settled = settled && domain.settled;
  }
  context.out().table(table);
  for (auto const& domain : rotated.domains) {
    for (auto const& row : domain.damaged) {
      std::cerr << "pomona: " << row
                << " (table and id) does not open with its own key: the row was altered\n";
    }
  }
  if (!settled) {
    std::cerr
        << "pomona: the old keys of these domains were kept, nothing is lost. What an earlier run "
           "began counts as this rotation: no further key is made for it. Restore or delete these rows, then "
           "run `pomona secrets rotate`\n";
    return 1;
  }
  return 0;
}

int run_rotate(Context& context) {
  auto const wish = rotate_wish(context);
  if (context.has("status")) return print_status(context);
  auto& db = context.db();
  auto const& key_dir = context.config().key_dir;
  if (wish.master && !service::master_rotation_under_way(key_dir)) {
    context.confirm(
        "A new master key is made and the present one leaves this machine. Backups made until now open only "
        "with the "
        "present\nmaster.key: keep a copy of it as long as you keep them.");
  }
  service::Rotated rotated;
  {
    Progress progress(!context.out().json());
    rotated = service::rotate_keys(db, key_dir, wish, [&](std::string const& text) { progress.show(text); });
  }
  int const code = print_rotated(context, rotated);
  if (rotated.resumed) context.out().line("\nWhat an earlier run had begun was finished.");
  if (wish.master || !wish.domains.empty() || rotated.resumed || rotated.new_master) {
    context.out().line(
        "\nmaster.key has changed: keep a new copy away from this machine and from the database's backups, "
        "and the "
        "copy\nbefore as long as there are backups of its time.");
  }
  return code;
}

constexpr char const* kRotateHelp =
    "Makes new keys for the domains that are named (`all` for every one), or with --master a new master key "
    "and so "
    "new keys\nfor all, and seals every value in the database anew. Handlers and workers go on meanwhile and "
    "notice by "
    "themselves. It may\nbe killed at any moment: the next run, also one that names nothing, goes on where "
    "it was.";

}  // namespace

Noun secrets_noun() {
  return {"secrets",
          "the key files under which keys and tokens are sealed in the database",
          {{"init",
            "make the key files that are missing",
            "",
            0,
            0,
            {},
            run_init,
            false,
            "Makes master.key, a key for each domain and the gate's secret where they do not exist, and puts "
            "their mode and\ngroup right. Safe to repeat: what exists keeps its content."},
           {"rotate",
            "give domains new keys and seal everything in the database anew",
            "[DOMAIN...]",
            0,
            8,
            {{"master", "make a new master key, and with it a new key for every domain", "", ""},
             {"status", "only say where each domain stands", "", ""},
             {"wait", "how long a program may still work with an old key; 60s unless given", "DURATION", ""}},
            run_rotate,
            true,
            kRotateHelp}}};
}

}  // namespace admin
