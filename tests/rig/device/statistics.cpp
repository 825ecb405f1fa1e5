#include "statistics.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <numeric>

#include "json.hpp"

namespace device {
namespace {

constexpr double milliseconds = 1000;

// Nearest rank, of sorted values.
double percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1] * milliseconds;
}

std::vector<double> sorted_copy(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values;
}

double rate(std::size_t count, double wall) { return wall > 0 ? static_cast<double>(count) / wall : 0; }

}  // namespace

void Statistics::add(const Samples& samples) {
  for (const Sample& sample : samples) {
    Phase& phase = phases_[sample.phase];
    phase.seconds.push_back(sample.seconds);
    if (!sample.ok) ++phase.errors;
  }
}

void Statistics::took(const std::string& phase, double seconds) { phases_[phase].wall += seconds; }

void Statistics::failure(const std::string& reason) { ++reasons_[reason]; }

long Statistics::failures() const {
  return std::accumulate(reasons_.begin(), reasons_.end(), 0L,
                         [](long sum, const auto& reason) { return sum + reason.second; });
}

void Statistics::print_table(std::ostream& out) const {
  out << std::left << std::setw(10) << "phase" << std::right << std::setw(9) << "count" << std::setw(8)
      << "errors" << std::setw(10) << "per s" << std::setw(10) << "p50 ms" << std::setw(10) << "p90 ms"
      << std::setw(10) << "p99 ms" << std::setw(10) << "max ms" << '\n'
      << std::fixed << std::setprecision(1);
  for (const auto& [name, phase] : phases_) {
    if (phase.seconds.empty()) continue;
    const auto sorted = sorted_copy(phase.seconds);
    out << std::left << std::setw(10) << name << std::right << std::setw(9) << sorted.size() << std::setw(8)
        << phase.errors << std::setw(10) << rate(sorted.size(), phase.wall);
    for (const double share : {0.5, 0.9, 0.99, 1.0}) out << std::setw(10) << percentile(sorted, share);
    out << '\n';
  }
  for (const auto& [reason, count] : reasons_) out << "failed " << count << " x: " << reason << '\n';
  out.flush();
}

void Statistics::print_json(std::ostream& out) const {
  out << R"("phases":{)" << std::fixed << std::setprecision(3);
  const char* comma = "";
  for (const auto& [name, phase] : phases_) {
    if (phase.seconds.empty()) continue;
    const auto sorted = sorted_copy(phase.seconds);
    out << comma << json_string(name) << R"(:{"count":)" << sorted.size() << R"(,"errors":)" << phase.errors
        << R"(,"seconds":)" << phase.wall << R"(,"per_second":)" << rate(sorted.size(), phase.wall)
        << R"(,"p50_ms":)" << percentile(sorted, 0.5) << R"(,"p90_ms":)" << percentile(sorted, 0.9)
        << R"(,"p99_ms":)" << percentile(sorted, 0.99) << R"(,"max_ms":)" << percentile(sorted, 1) << '}';
    comma = ",";
  }
  out << R"(},"errors":{)";
  comma = "";
  for (const auto& [reason, count] : reasons_) {
    out << comma << json_string(reason) << ':' << count;
    comma = ",";
  }
  out << '}';
}

}  // namespace device
