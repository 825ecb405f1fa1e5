// `pomona db`: the schema.
#include <cstdio>

#include <unistd.h>

#include "nouns.hpp"
#include "store/leases.hpp"
#include "store/migrations.hpp"

namespace admin {

namespace {

std::string step_label(store::MigrationStep const& step) {
  return std::to_string(step.version) + '.' + std::to_string(step.number);
}

// Steps are told on a terminal only: cron and package scripts hear nothing when all is well.
int run_migrate(Context& context) {
  bool const tell = ::isatty(STDOUT_FILENO) != 0;
  int const done = store::migrate(context.unchecked_db(service::Patience::migration), store::lease_owner(),
                                  context.now(), [&](std::string const& step) {
                                    if (!tell) return;
                                    context.out().line("  " + step);
                                    std::fflush(stdout);
                                  });
  if (tell) {
    context.out().line(done == 0 ? "Nothing to migrate; the grants were applied again."
                                 : std::to_string(done) + " steps done, and the grants applied.");
  }
  context.out().value(Object{{"steps_applied", done}});
  return 0;
}

int run_status(Context& context) {
  auto const all = store::migration_status(context.unchecked_db());
  Table table{{{"step", "STEP"}, {"name", "NAME"}, {"applied_at", "APPLIED (UTC)"}, {"state", "STATE"}},
              {},
              "No steps."};
  int missing = 0;
  int changed = 0;
  for (auto const& status : all) {
    char const* state = status.changed ? "changed" : status.applied_at ? "applied" : "missing";
    missing += status.applied_at ? 0 : 1;
    changed += status.changed ? 1 : 0;
    table.rows.push_back({step_label(status.step), status.step.name, status.applied_at, state});
  }
  context.out().table(table);
  if (missing > 0)
    context.out().line('\n' + std::to_string(missing) + " steps missing: run `pomona db migrate`.");
  if (changed > 0) {
    context.out().line('\n' + std::to_string(changed) +
                       " steps were applied with another text: this program is of another line of versions.");
  }
  return missing + changed > 0 ? 1 : 0;
}

}  // namespace

Noun db_noun() {
  return {"db",
          "the database schema",
          {{"migrate",
            "bring the schema up to date and apply the grants",
            "",
            0,
            0,
            {},
            run_migrate,
            false,
            "Safe to repeat, also after a kill: each step is recorded when it is done. Programs that are "
            "running go on\nwith the old schema as long as it allows them to."},
           {"status",
            "list the steps of the schema and which are applied",
            "",
            0,
            0,
            {},
            run_status,
            false,
            "Exit code 0: all applied; 1: some are missing or changed."}}};
}

}  // namespace admin
