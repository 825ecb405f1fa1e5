// pomona-load: a load generator for the bench. pomona-load PLAN runs the plan (load_plan.hpp) and prints a
// JSON array with one object for each slice. Exit code: 0 done, also when answers were errors; 1 failed.
//
// SECURITY: for measurements on a private stack only; it reads the keys of simulated devices.
#include <algorithm>
#include <csignal>
#include <iostream>

#include "load_run.hpp"

namespace {

double percentile(const std::vector<double>& sorted, double part) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
}

template <class Map>
void print_map(std::ostream& out, const char* name, const Map& map) {
  out << ",\"" << name << "\":{";
  const char* comma = "";
  for (const auto& [key, value] : map) {
    out << comma << '"' << key << "\":" << value;
    comma = ",";
  }
  out << '}';
}

void print(std::ostream& out, bench::Outcome outcome) {
  std::sort(outcome.latencies.begin(), outcome.latencies.end());
  out << R"({"contestant":")" << outcome.contestant << R"(","requests":)" << outcome.requests
      << R"(,"errors":)" << outcome.errors << R"(,"seconds":)" << outcome.seconds << R"(,"generator_cpu":)"
      << outcome.generator_cpu << R"(,"p50":)" << percentile(outcome.latencies, 0.5) << R"(,"p99":)"
      << percentile(outcome.latencies, 0.99);
  print_map(out, "statuses", outcome.statuses);
  print_map(out, "cpu", outcome.cpu);
  out << '}';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "Usage: pomona-load PLAN\n";
    return 2;
  }
  try {
    std::signal(SIGPIPE, SIG_IGN);
    const char* separator = "[\n";
    for (const bench::Outcome& outcome : bench::run(bench::read_plan(argv[1]))) {
      std::cout << separator;
      print(std::cout, outcome);
      separator = ",\n";
    }
    std::cout << "\n]\n";
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "pomona-load: " << error.what() << '\n';
    return 1;
  }
}
