// Events: who did what, when, to whom; kept when the device is gone. Written in the transaction of what they
// tell about.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

struct Event {
  std::string what;  // noun.verb: enrollment.new, identity.refused, certificate.issued, ...
  std::string who;   // device, cli:USER, api:KEY, or the worker's name
  std::optional<std::string> external_id = {};
  std::optional<std::int64_t> enrollment_id = {};
  std::optional<std::string> serial_number = {};
  std::optional<std::string> certificate_sha256 = {};
  std::optional<std::string> command_uuid = {};
  std::optional<std::int64_t> ticket_id = {};
  std::string detail = {};  // for people; never a secret; cut at 2048 bytes
};

struct TimedEvent {
  sys::Time at;
  std::string who;
  std::string detail;
};
// The newest of one sort, newest first.
std::vector<TimedEvent> list_events(sys::Db& db, std::string_view what, std::int64_t limit);

void record_event(sys::Db& db, Event const& event, sys::Time now);

}  // namespace store
