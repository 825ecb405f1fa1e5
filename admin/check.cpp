// `pomona check` and `pomona metrics`: for an admin's monitoring.
#include "service/check.hpp"

#include <cstdio>
#include <functional>

#include "nouns.hpp"
#include "service/metrics.hpp"
#include "sys/error.hpp"

namespace admin {

namespace {

using service::CheckResult;
using service::CheckState;

Value value_of(CheckResult const& result) {
  List perf;
  List lines;
  for (auto const& datum : result.perf)
    perf.push_back(Object{{"label", datum.label}, {"value", datum.value}});
  for (auto const& line : result.lines) lines.emplace_back(line);
  return Object{{"check", result.name},
                {"state", service::check_state_name(result.state)},
                {"text", result.text},
                {"lines", lines},
                {"perf", perf}};
}

// Monitoring wants a state whatever happens: what cannot be asked is UNKNOWN, not an error.
CheckResult guarded(std::string const& name, CheckState failed, std::function<CheckResult()> const& check) {
  try {
    return check();
  } catch (sys::Error const& error) {
    return {name, failed, error.what(), {}, {}};
  }
}

// What was cut must not pass for all of it.
void print(std::string const& text) {
  bool const written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) throw sys::Error(sys::Fault::internal, "standard output: it could not be written");
}

int tell(Context& context, std::vector<CheckResult> const& results) {
  auto worst = CheckState::ok;
  List list;
  for (auto const& result : results) {
    worst = service::worse(worst, result.state);
    list.push_back(value_of(result));
    if (context.out().json()) continue;
    auto const text = service::plugin_output(result);
    print(text);
  }
  context.out().value(results.size() == 1 ? list.front() : Value(list));
  return static_cast<int>(worst);
}

service::CheckLimits limits(Context& context, service::CheckLimits usual) {
  service::CheckLimits const wanted{context.duration("warning").value_or(usual.warning),
                                    context.duration("critical").value_or(usual.critical)};
  if (wanted.warning > wanted.critical) context.usage("--warning must not be above --critical; give both");
  return wanted;
}

CheckResult certs(Context& context) {
  return guarded("CERTS", CheckState::unknown, [&] {
    return service::check_certs(context.db(), context.config(), context.has("live"), context.now());
  });
}

CheckResult push(Context& context, service::CheckLimits const& wanted) {
  return guarded("PUSH", CheckState::unknown,
                 [&] { return service::check_push(context.db(), wanted, context.now()); });
}

CheckResult queue(Context& context, service::CheckLimits const& wanted) {
  return guarded("QUEUE", CheckState::unknown,
                 [&] { return service::check_queue(context.db(), wanted, context.now()); });
}

CheckResult database(Context& context) {
  return guarded("DB", CheckState::critical, [&] { return service::check_database(context.unchecked_db()); });
}

int run_certs(Context& context) { return tell(context, {certs(context)}); }
int run_push(Context& context) {
  return tell(context, {push(context, limits(context, service::kPushLimits))});
}
int run_queue(Context& context) {
  return tell(context, {queue(context, limits(context, service::kQueueLimits))});
}
int run_database(Context& context) { return tell(context, {database(context)}); }
int run_all(Context& context) {
  return tell(context, {database(context), certs(context), push(context, service::kPushLimits),
                        queue(context, service::kQueueLimits)});
}

int run_metrics(Context& context) {
  auto const text =
      service::metrics_text(context.unchecked_db(), context.config(), context.has("live"), context.now());
  print(text);
  return 0;
}

sys::OptionSpec const kLive{"live", "ask server-url which certificate it shows, and compare", "", ""};
sys::OptionSpec const kWarning{"warning", "the age from which it is a warning", "TIME", ""};
sys::OptionSpec const kCritical{"critical", "the age from which it is critical", "TIME", ""};

char const* const kCodes = "Exit code: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, as of a Nagios plug-in.";

Verb check_verb(std::string name, std::string summary, std::vector<sys::OptionSpec> options,
                int (*run)(Context&), std::string const& more) {
  return {std::move(name), std::move(summary), "", 0, 0, std::move(options), run, false, more + kCodes};
}

}  // namespace

Noun check_noun() {
  return {
      "check",
      "for monitoring: is there something to look at?",
      {check_verb("certs", "certificates that come near their end", {kLive}, run_certs,
                  "Critical: expired, or less than a twelfth of its life left (30 days of a year). Warning: "
                  "less than a sixth, or\na device identity, or nginx shows another certificate than its "
                  "file has.\n\n"),
       check_verb("push", "topics without a certificate, pushes that are not sent", {kWarning, kCritical},
                  run_push, "By age of the oldest due push: 15m and 1h where not given otherwise.\n\n"),
       check_verb("queue", "commands that wait for long, frozen devices", {kWarning, kCritical}, run_queue,
                  "By age of the longest waiting command: 14d and 60d where not given otherwise.\n\n"),
       check_verb("db", "the database and its schema", {}, run_database, ""),
       check_verb("all", "all of them, with the worst state", {kLive}, run_all, "")}};
}

Noun metrics_noun() {
  return {"metrics",
          "the state of the server as Prometheus text",
          {{"",
            "print metrics for a textfile collector",
            "",
            0,
            0,
            {kLive},
            run_metrics,
            false,
            "From cron: pomona metrics > /var/lib/prometheus/node-exporter/pomona.prom.new && mv it to "
            "pomona.prom"}}};
}

}  // namespace admin
