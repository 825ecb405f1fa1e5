// Runs the slices of a plan over its connections, one contestant at a time, in one thread.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "load_plan.hpp"

namespace bench {

struct Outcome {
  std::string contestant;
  long requests = 0, errors = 0;
  double seconds = 0, generator_cpu = 0;
  std::map<int, long> statuses;
  std::vector<double> latencies;      // seconds, in the order of the answers
  std::map<std::string, double> cpu;  // seconds, by name of the plan's processes
};

// Each connection has at most one request under way. An answer other than 200 is an error.
std::vector<Outcome> run(const Plan& plan);

}  // namespace bench
