#include "service/check.hpp"

#include <algorithm>
#include <set>

#include "service/cert_words.hpp"
#include "store/cert_usage.hpp"
#include "store/health.hpp"
#include "store/migrations.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using std::chrono::days;

CheckState state_of(CertReport const& report) {
  if (!report.counts) return CheckState::ok;
  bool const critical = report.expiry == Expiry::expired || report.expiry == Expiry::urgent;
  // One device that never comes back must not cover what concerns all.
  if (critical) return report.kind == "identities" ? CheckState::warning : CheckState::critical;
  return report.expiry == Expiry::good && !report.differs ? CheckState::ok : CheckState::warning;
}

std::int64_t days_between(sys::Time from, sys::Time to) {
  return std::chrono::floor<days>(to - from).count();
}

PerfDatum datum_of(CertReport const& report, sys::Time now) {
  auto const limit = [&](int stage) {
    auto const at = threshold(stage, report.not_before, report.not_after);
    return std::to_string(days_between(at, report.not_after)) + ':';
  };
  return {report.title, days_between(now, report.not_after), limit(kAttentionStage), limit(kUrgentStage),
          "d"};
}

std::string cert_line(CertReport const& report, sys::Time now) {
  return report.title + ": " + expiry_words(report.not_before, report.not_after, now) +
         ". When it expires: " + report.consequence + ". Next step: " + report.next_step;
}

std::string counted(std::size_t count, char const* one, char const* many) {
  return std::to_string(count) + ' ' + (count == 1 ? one : many);
}

CheckState by_age(std::optional<sys::Time> since, CheckLimits const& limits, sys::Time now) {
  if (!since || now - *since < limits.warning) return CheckState::ok;
  return now - *since < limits.critical ? CheckState::warning : CheckState::critical;
}

PerfDatum age_datum(std::optional<sys::Time> since, CheckLimits const& limits, sys::Time now) {
  auto const age = since ? std::chrono::floor<sys::seconds>(now - *since).count() : 0;
  return {"oldest", std::max<std::int64_t>(age, 0), std::to_string(limits.warning.count()),
          std::to_string(limits.critical.count()), "s"};
}

std::string age_text(sys::Time since, sys::Time now) {
  auto const minutes = std::chrono::floor<std::chrono::minutes>(now - since).count();
  constexpr std::int64_t kHour = 60;
  constexpr std::int64_t kDay = 24 * kHour;
  if (minutes >= 2 * kDay) return std::to_string(minutes / kDay) + " days";
  if (minutes >= 2 * kHour) return std::to_string(minutes / kHour) + " hours";
  return std::to_string(minutes) + " minutes";
}

std::set<std::string> topics_with_certificate(sys::Db& db, sys::Time now) {
  std::set<std::string> topics;
  store::CertFilter const filter{.kind = "push", .status = store::CertStatus::active};
  for (auto const& row : store::list_certificates(db, store::CertView::published, filter))
    if (row.topic && row.not_before <= now && now <= row.not_after) topics.insert(*row.topic);
  return topics;
}

// A bar would begin performance data, a line break another line.
std::string plain(std::string const& words) {
  auto text = sys::escape_controls(words);
  std::replace(text.begin(), text.end(), '|', '/');
  return text;
}

// A quote in a label would end it, and '=' would begin the value.
std::string perf_text(PerfDatum const& datum) {
  std::string label = sys::escape_controls(datum.label);
  std::replace_if(
      label.begin(), label.end(), [](char c) { return c == '\'' || c == '=' || c == '|'; }, '_');
  std::string text = '\'' + label + "'=" + std::to_string(datum.value) + datum.unit;
  if (!datum.warning.empty()) text += ';' + datum.warning + ';' + datum.critical;
  return text;
}

}  // namespace

std::string_view check_state_name(CheckState state) noexcept {
  switch (state) {
    case CheckState::ok:
      return "OK";
    case CheckState::warning:
      return "WARNING";
    case CheckState::critical:
      return "CRITICAL";
    case CheckState::unknown:
      break;
  }
  return "UNKNOWN";
}

CheckState worse(CheckState a, CheckState b) noexcept {
  for (auto const state : {CheckState::critical, CheckState::warning, CheckState::unknown})
    if (a == state || b == state) return state;
  return CheckState::ok;
}

CheckResult check_certs(sys::Db& db, Config const& config, bool live, sys::Time now) {
  auto const inventory = take_inventory(db, config, {false, live}, now);
  CheckResult result{"CERTS", CheckState::ok, {}, {}, {}};
  std::string worst;
  for (auto const& report : inventory.reports) {
    auto const state = state_of(report);
    result.state = worse(result.state, state);
    if (report.counts) result.perf.push_back(datum_of(report, now));
    if (state == CheckState::ok) continue;
    if (worst.empty()) worst = report.title + ' ' + expiry_words(report.not_before, report.not_after, now);
    result.lines.push_back(cert_line(report, now));
  }
  for (auto const& problem : inventory.problems)
    result.lines.push_back("could not be looked at: " + problem.text);
  if (!inventory.problems.empty()) result.state = worse(result.state, CheckState::unknown);
  auto const count = counted(inventory.reports.size(), "certificate", "certificates");
  result.text = result.lines.empty() ? count + ", nothing to do"
                                     : std::to_string(result.lines.size()) + " of " + count +
                                           " to look at: " + (worst.empty() ? result.lines.front() : worst);
  return result;
}

CheckResult check_push(sys::Db& db, CheckLimits const& limits, sys::Time now) {
  auto const health = store::push_health(db, now);
  CheckResult result{"PUSH", by_age(health.oldest_due, limits, now), {}, {}, {}};
  result.text = counted(static_cast<std::size_t>(health.due), "push is due", "pushes are due");
  if (health.oldest_due) result.text += ", the oldest for " + age_text(*health.oldest_due, now);
  if (result.state != CheckState::ok) {
    result.lines.push_back(
        "Due pushes are not sent: does pomona-push run, and what does its log say? `pomona push-cert list` "
        "shows whether the topic has a certificate.");
  }
  auto const good = topics_with_certificate(db, now);
  for (auto const& [topic, devices] : store::devices_by_topic(db)) {
    if (good.contains(topic)) continue;
    result.state = CheckState::critical;
    result.text += "; no certificate for " + topic;
    result.lines.push_back(topic + ": no push certificate is good now; " + devices_text(devices) +
                           " cannot be woken. `pomona push-cert import` takes a new one");
  }
  result.perf = {{"due", health.due},
                 age_datum(health.oldest_due, limits, now),
                 {"failing", health.failing},
                 {"dead", health.dead}};
  return result;
}

CheckResult check_queue(sys::Db& db, CheckLimits const& limits, sys::Time now) {
  auto const health = store::queue_health(db);
  CheckResult result{"QUEUE", by_age(health.oldest, limits, now), {}, {}, {}};
  result.text =
      counted(static_cast<std::size_t>(health.queued + health.not_now), "command waits", "commands wait");
  if (health.oldest) result.text += ", the oldest for " + age_text(*health.oldest, now);
  if (result.state != CheckState::ok) {
    result.lines.push_back(
        "Commands wait for long: the devices may be gone. `pomona command list ID` shows the queue of one, "
        "`pomona command clear ID` empties it.");
  }
  if (health.frozen > 0) {
    result.state = CheckState::critical;
    result.text += "; " + devices_text(health.frozen) + " frozen by identity.conflict";
    result.lines.push_back(
        "Frozen devices are served nothing, for two generations of one device speak at once: see `pomona "
        "enrollment list`, then `pomona enrollment resolve ID --keep old|new`.");
  }
  result.perf = {{"waiting", health.queued + health.not_now},
                 age_datum(health.oldest, limits, now),
                 {"held", health.held},
                 {"frozen", health.frozen}};
  return result;
}

std::int64_t missing_steps(sys::Db& db) {
  auto const steps = store::migration_status(db);
  return std::count_if(steps.begin(), steps.end(),
                       [](auto const& step) { return !step.applied_at || step.changed; });
}

CheckResult check_database(sys::Db& db) {
  auto const missing = missing_steps(db);
  CheckResult result{"DB", missing == 0 ? CheckState::ok : CheckState::critical, {}, {}, {}};
  result.text =
      missing == 0 ? "the schema is up to date" : std::to_string(missing) + " steps of the schema missing";
  if (missing > 0) result.lines.emplace_back("Run `pomona db migrate`.");
  result.perf = {{"missing", missing}};
  return result;
}

std::string plugin_output(CheckResult const& result) {
  std::string text =
      result.name + ' ' + std::string(check_state_name(result.state)) + " - " + plain(result.text);
  for (std::size_t i = 0; i < result.perf.size(); ++i)
    text += (i == 0 ? " | " : " ") + perf_text(result.perf[i]);
  for (auto const& line : result.lines) text += '\n' + plain(line);
  return text + '\n';
}

}  // namespace service
