// Handing out enrolment profiles: by a ticket's secret, or to anybody where open enrolment is on.
//
// The secret is the only thing that is believed. A download never uses a ticket up: a single one gives the
// same bytes each time, one for several devices gives each download a child ticket of its own. What was given
// is kept in `profiles`. Errors: Error{not_found} while there is no CA or push certificate (the server is not
// set up: 503), otherwise refusals are an outcome.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/profile.hpp"
#include "service/config.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

struct EnrollOutcome {
  enum class Kind { profile, unknown, gone } kind = Kind::unknown;
  std::string profile = {};                 // the bytes; "" where only the headers were asked for
  std::optional<std::int64_t> ticket = {};  // its public number, for the log
  char const* reason = nullptr;             // gone: expired, revoked, used, used-up
};

// `mint` false (HEAD): nothing is written where a download would make a ticket, and the profile is "".
EnrollOutcome enroll_by_ticket(sys::Db& db, Config const& config, std::string_view secret, bool mint,
                               sys::Time now);
EnrollOutcome enroll_openly(sys::Db& db, Config const& config, bool mint, sys::Time now);

// The certificates of https-ca-file; none when it is not set. Error{internal} when it cannot be used.
std::vector<proto::TrustAnchor> https_anchors(Config const& config);

std::optional<std::string> trust_profile(Config const& config);  // none without a private CA
std::string service_config(Config const& config);                // JSON of /MDMServiceConfig

}  // namespace service
