// `pomona check`: is there something that an admin must look at? One result for each part, in the terms of
// Nagios plug-ins: a state, a line, performance data.
//
// An expired certificate, or one whose end is near, is critical; one that asks for attention, and anything
// about single device identities, is a warning; what could not be looked at is unknown.
#pragma once

#include <string>
#include <vector>

#include "service/cert_report.hpp"

namespace service {

enum class CheckState { ok = 0, warning = 1, critical = 2, unknown = 3 };
std::string_view check_state_name(CheckState state) noexcept;  // OK, WARNING, CRITICAL, UNKNOWN
// Which of two counts: critical, then warning, then unknown.
CheckState worse(CheckState a, CheckState b) noexcept;

struct PerfDatum {
  std::string label;
  std::int64_t value = 0;
  std::string warning = {};  // a range as plug-ins write it: "60:" alerts below 60
  std::string critical = {};
  std::string unit = {};
};

struct CheckResult {
  std::string name;  // CERTS
  CheckState state = CheckState::ok;
  std::string text;                // what stands behind the state
  std::vector<std::string> lines;  // a sentence for each thing to look at, with the next step
  std::vector<PerfDatum> perf;
};

// Ages from which something waits too long.
struct CheckLimits {
  sys::seconds warning;
  sys::seconds critical;
};
inline constexpr CheckLimits kQueueLimits{std::chrono::days(14), std::chrono::days(60)};
inline constexpr CheckLimits kPushLimits{std::chrono::minutes(15), std::chrono::hours(1)};

CheckResult check_certs(sys::Db& db, Config const& config, bool live, sys::Time now);
CheckResult check_push(sys::Db& db, CheckLimits const& limits, sys::Time now);
CheckResult check_queue(sys::Db& db, CheckLimits const& limits, sys::Time now);
CheckResult check_database(sys::Db& db);
std::int64_t missing_steps(sys::Db& db);  // of the schema; applied with another text counts too

// What a plug-in prints: "CERTS WARNING - text | perfdata", then the lines.
std::string plugin_output(CheckResult const& result);

}  // namespace service
