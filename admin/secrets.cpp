// `pomona secrets`: the key files.
#include "nouns.hpp"
#include "service/key_files.hpp"

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
            "their mode and\ngroup right. Safe to repeat: what exists keeps its content."}}};
}

}  // namespace admin
