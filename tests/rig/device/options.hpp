// The command line of pomona-device, and what each sub-command does with it. Every command gives the exit
// code: 0 all well, 1 something was refused or failed.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace device {

struct Options {
  std::string command, message;
  std::string url, state, ca_file, keys, udid, serial, user, identity;
  std::string kind = "mac", signature_form = "apple";
  std::string apns_log, data, body, record, headers, old_session;
  std::vector<std::string> set, not_now, error, ignore;
  int timeout = 30, count = 0, parallel = 4, rounds = 1, scep_segment = 65536, clock_skew = 0;
  bool json = false, user_channel = false, no_client_certificate = false, no_identity = false;
  bool awaiting = false, idle_only = false, keep_alive = false;
  bool quiet_renewal = false, old_identity = false;
  std::string journal;
  std::vector<std::string> moods;
  std::uint64_t seed = 1;
  double every = 10;
  bool check_out = false, calm = false;
};

int enroll_command(const Options& options);
int poll_command(const Options& options);
int wait_command(const Options& options);
int send_command(const Options& options);
int fleet_command(const Options& options);
int live_command(const Options& options);

}  // namespace device
