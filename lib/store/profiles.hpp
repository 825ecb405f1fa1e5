// What an enrolment was given: the frozen values of its profile, kept as long as the enrolment, so that every
// renewal is rendered from them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proto/profile.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

struct Profile {
  std::int64_t id = 0;
  std::optional<std::int64_t> ticket_id = {};
  std::string uuid = {};  // PayloadUUID of the root
  proto::FrozenProfile frozen = {};
  sys::Time created_at = {};
};

// `id` is not looked at. False when the ticket has a profile already. Call it with the ticket's row locked:
// a profile that another transaction wrote meanwhile would not be seen.
bool insert_profile(sys::Db& db, Profile const& profile);

std::optional<Profile> find_profile(sys::Db& db, std::int64_t id);
std::optional<Profile> find_profile_of_ticket(sys::Db& db, std::int64_t ticket_id);

}  // namespace store
