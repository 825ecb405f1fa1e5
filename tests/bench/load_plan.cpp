#include "load_plan.hpp"

#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>

namespace bench {
namespace {

Requests read_requests(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  Requests all;
  for (std::string line; std::getline(in, line);) {
    std::string bytes(std::stoul(line), '\0');
    if (!in.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
      throw std::runtime_error(path + " ends within a request");
    all.push_back(std::move(bytes));
  }
  if (all.empty()) throw std::runtime_error(path + " holds no request");
  return all;
}

template <class T>
T word(std::istream& in) {
  T value;
  if (!(in >> value)) throw std::runtime_error("a word is missing");
  return value;
}

void read_script(Plan& plan, std::istream& in, bool follow) {
  if (plan.connections.empty()) throw std::runtime_error("no connection stands before it");
  const auto contestant = word<std::string>(in);
  const Script script{read_requests(word<std::string>(in)), follow};
  if (follow && script.requests.size() != 2) throw std::runtime_error("follow needs two requests");
  plan.connections.back().scripts[contestant] = script;
}

SlicePlan read_slice(std::istream& in) {
  SlicePlan slice;
  slice.contestant = word<std::string>(in);
  const auto end = word<std::string>(in);
  if (end == "seconds") slice.seconds = word<double>(in);
  if (end == "requests") slice.requests = word<long>(in);
  return slice;
}

using Reader = std::function<void(Plan&, std::istream&)>;

const std::map<std::string, Reader>& readers() {
  static const std::map<std::string, Reader> all{
      {"server",
       [](Plan& plan, std::istream& in) {
         plan.address = word<std::string>(in);
         plan.port = word<int>(in);
       }},
      {"trust", [](Plan& plan, std::istream& in) { plan.trust = word<std::string>(in); }},
      {"connection",
       [](Plan& plan, std::istream& in) {
         const auto certificate = word<std::string>(in);
         plan.connections.push_back({certificate, word<std::string>(in), {}});
       }},
      {"requests", [](Plan& plan, std::istream& in) { read_script(plan, in, false); }},
      {"follow", [](Plan& plan, std::istream& in) { read_script(plan, in, true); }},
      {"pool",
       [](Plan& plan, std::istream& in) {
         const auto contestant = word<std::string>(in);
         plan.pools[contestant] = read_requests(word<std::string>(in));
       }},
      {"process",
       [](Plan& plan, std::istream& in) {
         const auto name = word<std::string>(in);
         plan.processes[name].push_back(word<int>(in));
       }},
      {"slice", [](Plan& plan, std::istream& in) { plan.slices.push_back(read_slice(in)); }},
  };
  return all;
}

}  // namespace

Plan read_plan(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  Plan plan;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string first;
    if (!(words >> first)) continue;
    const auto reader = readers().find(first);
    if (reader == readers().end()) throw std::runtime_error("not understood: " + line);
    try {
      reader->second(plan, words);
    } catch (const std::exception& error) {
      throw std::runtime_error(line + ": " + error.what());
    }
  }
  return plan;
}

}  // namespace bench
