// Enqueue: one command for many enrolments. Used by the pomona command and by the API.
//
// One bad id does not abort the others. A CommandUUID may come again with identical bytes for further ids,
// and for the same ids without effect; with other bytes it is Error{conflict}. Error{bad_request} for what is
// no command.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

inline constexpr int kUsualPriority = 100;  // 0 is served first, 255 last

struct EnqueueRequest {
  std::vector<std::string> ids;  // external ids; a repeated one counts once
  std::string_view plist;        // kept and delivered byte for byte
  int priority = kUsualPriority;
  bool push = true;
  bool held = false;  // not offered until it is released; wakes nobody
  std::string who;    // cli:USER, api:KEY
};

struct EnqueueTarget {
  std::string id;
  std::optional<std::string> error = {};  // why it was not queued for this one
};

struct EnqueueResult {
  std::string command_uuid;
  std::string request_type;
  std::vector<EnqueueTarget> targets;  // in the order asked for

  [[nodiscard]] std::size_t failed() const noexcept;
};

EnqueueResult enqueue(sys::Db& db, sys::KeyRing const& message_key, EnqueueRequest const& request,
                      sys::Time now);

}  // namespace service
