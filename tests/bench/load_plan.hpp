// What the load generator is to do: a text file of lines, made by the driver (tests/bench). Words are
// separated by single spaces; paths hold none. Errors: std::runtime_error with the line.
//
//   server ADDRESS PORT
//   trust FILE                        PEM of the server's CA; without it plain HTTP is spoken
//   connection CERTIFICATE KEY        opens one; "- -" shows no client certificate
//   requests CONTESTANT FILE          of the last connection: sent again and again, in turn
//   follow CONTESTANT FILE            of the last connection: the first request, then the second with the
//                                     CommandUUID of each answer in place of its 36 @, until an answer is
//                                     empty
//   pool CONTESTANT FILE              of nobody: each is sent once, by whichever connection is free
//   process NAME PID                  its processor time is told with each slice
//   slice CONTESTANT seconds S | requests N | drained
//
// A file of requests holds, for each one, its length in decimal, a line feed and its bytes as HTTP/1.1 has
// them.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace bench {

using Requests = std::vector<std::string>;

struct Script {
  Requests requests;
  bool follow = false;
};

struct ConnectionPlan {
  std::string certificate, key;           // "-": none
  std::map<std::string, Script> scripts;  // by contestant
};

struct SlicePlan {
  std::string contestant;
  double seconds = 0;  // 0: no such end
  long requests = 0;   // 0: no such end
};

struct Plan {
  std::string address, trust;
  int port = 0;
  std::vector<ConnectionPlan> connections;
  std::map<std::string, Requests> pools;  // by contestant
  std::map<std::string, std::vector<int>> processes;
  std::vector<SlicePlan> slices;
};

Plan read_plan(const std::string& path);

}  // namespace bench
