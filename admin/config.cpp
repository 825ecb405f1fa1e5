// `pomona config`: what is configured, from where, and whether it works.
#include <functional>

#include "nouns.hpp"
#include "service/key_files.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/x509.hpp"

namespace admin {

namespace {

// What a key amounts to when it is not set.
std::optional<std::string> derived(service::Config const& config, std::string const& key) {
  if (key == "scep-url") return config.scep_url;
  if (key == "database-user") return config.database_user;
  return std::nullopt;
}

int run_dump(Context& context) {
  Table table{{{"key", "KEY"}, {"value", "VALUE"}, {"source", "SOURCE"}}, {}, ""};
  std::string text;
  for (auto const& spec : service::config_options()) {
    auto const set = context.options().find(spec.key);
    auto const value = set ? set : derived(context.config(), spec.key);
    auto const source = context.options().sources.find(spec.key);
    bool const known = source != context.options().sources.end();
    Value const from = known ? Value(source->second) : value ? Value("derived") : Value();
    table.rows.push_back({spec.key, value, from});
    text += (value ? spec.key + " = " + *value : '#' + spec.key + " =") + '\n';
  }
  if (context.has("sources") || context.out().json()) {
    context.out().table(table);
  } else {
    text.pop_back();
    context.out().line(text);
  }
  return 0;
}

// One look at one thing: what was found, or the error that tells what is wrong and what to do.
struct Check {
  std::string name;
  std::function<std::string()> look;
};

std::string look_at_file(Context& context) {
  auto const& file = context.options().file;
  return file.empty() ? "no file; command line and environment only" : file;
}

std::string look_at_server(Context& context) {
  auto const& config = context.config();
  auto const source = context.options().sources.find("server-url");
  std::string const from = source == context.options().sources.end() ? "" : " (" + source->second + ')';
  return config.server_url + from + ", SCEP at " + config.scep_url;
}

std::string look_at_database(Context& context) {
  auto const row = store::database_identity(context.unchecked_db());
  return row + " on " + context.config().database_socket;
}

std::string look_at_schema(Context& context) {
  store::check_schema(context.unchecked_db());
  int steps = 0;
  for (auto const& status : store::migration_status(context.unchecked_db())) {
    if (!status.applied_at || status.changed) {
      throw sys::Error(sys::Fault::conflict,
                       "step " + status.step.name + " is missing or was changed; see `pomona db status`");
    }
    ++steps;
  }
  return "up to date, " + std::to_string(steps) + " steps";
}

std::string look_at_keys(Context& context) {
  std::string names;
  for (auto const& domain : service::key_domains()) {
    context.key(domain);
    names += (names.empty() ? "" : " ") + domain;
  }
  return context.config().key_dir + ": " + names;
}

std::string look_at_gate(Context& context) {
  auto const& file = context.config().gate_file;
  if (sys::read_secret_file(file).view().size() < 16) {
    throw sys::Error(sys::Fault::conflict,
                     file + ": shorter than 16 characters; remove it and run `pomona secrets init`");
  }
  return file;
}

std::string look_at_certificates(Context& context, std::string const& file) {
  if (file.empty()) return "not set";
  auto const all = sys::Cert::read_all(sys::read_file(file));
  if (all.empty()) throw sys::Error(sys::Fault::conflict, file + ": no certificate in it");
  for (auto const& cert : all) {
    if (cert.valid_at(context.now())) continue;
    throw sys::Error(sys::Fault::conflict, file + ": " + cert.subject() + " is good from " +
                                               sys::certbot_time(cert.not_before()) + " to " +
                                               sys::certbot_time(cert.not_after()) + ", not now");
  }
  return file + ": " + std::to_string(all.size()) + (all.size() == 1 ? " certificate" : " certificates");
}

std::vector<Check> checks(Context& context) {
  return {
      {"configuration file", [&] { return look_at_file(context); }},
      {"server", [&] { return look_at_server(context); }},
      {"database", [&] { return look_at_database(context); }},
      {"schema", [&] { return look_at_schema(context); }},
      {"key files", [&] { return look_at_keys(context); }},
      {"gate file", [&] { return look_at_gate(context); }},
      {"https-ca-file", [&] { return look_at_certificates(context, context.config().https_ca_file); }},
      {"push-ca-file", [&] { return look_at_certificates(context, context.config().push_ca_file); }},
  };
}

int run_check(Context& context) {
  Table table{{{"check", "CHECK"}, {"ok", "OK"}, {"detail", "DETAIL"}}, {}, ""};
  bool good = true;
  for (auto const& check : checks(context)) {
    try {
      table.rows.push_back({check.name, true, check.look()});
    } catch (sys::Error const& error) {
      good = false;
      table.rows.push_back({check.name, false, error.what()});
    }
  }
  if (context.out().json()) {
    context.out().table(table);
    return good ? 0 : 1;
  }
  for (auto const& row : table.rows) {
    bool const ok = std::get<bool>(row[1].get());
    context.out().line((ok ? "ok    " : "FAIL  ") + cell_text(row[0]) + ": " + cell_text(row[2]));
  }
  return good ? 0 : 1;
}

}  // namespace

Noun config_noun() {
  return {
      "config",
      "what is configured, and whether it works",
      {{"check",
        "look at everything that the configuration names",
        "",
        0,
        0,
        {},
        run_check,
        false,
        "The configuration file and its keys, the database, its schema, the key files, the gate file and the "
        "CA files.\nExit code 0: all well; 1: something is not; 2 and 3: the configuration itself is wrong "
        "or incomplete."},
       {"dump",
        "print the values in effect",
        "",
        0,
        0,
        {{"sources", "a table that also tells where each value comes from", "", ""}},
        run_dump,
        false,
        "In the form of the configuration file. There are no secrets in it: it holds names of files only."}}};
}

}  // namespace admin
