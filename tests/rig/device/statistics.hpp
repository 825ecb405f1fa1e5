// Counts and latency percentiles by phase, for people and for scripts.
#pragma once
#include <map>
#include <ostream>
#include <string>

#include "http.hpp"

namespace device {

class Statistics {
 public:
  void add(const Samples& samples);
  void took(const std::string& phase, double seconds);  // wall clock of the stage that a phase belongs to
  void failure(const std::string& reason);              // counted by text
  long failures() const;
  void print_table(std::ostream& out) const;
  void print_json(std::ostream& out) const;  // the members "phases" and "errors" of an object

 private:
  struct Phase {
    std::vector<double> seconds;  // of every request, failed ones too
    long errors = 0;
    double wall = 0;
  };
  std::map<std::string, Phase> phases_;
  std::map<std::string, long> reasons_;
};

}  // namespace device
