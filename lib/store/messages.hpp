// Raw check-in bodies, sealed in domain message under a purpose that names enrolment and message type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sys/bytes.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

std::string message_purpose(std::int64_t enrollment_id,
                            std::string_view type);  // what a sealed body is bound to
void put_message(sys::Db& db, sys::KeyRing const& message_key, std::int64_t enrollment_id,
                 std::string_view type, std::string_view body, sys::Time now);

// Newest first.
std::vector<sys::SecretBytes> messages_of(sys::Db& db, sys::KeyRing const& message_key,
                                          std::int64_t enrollment_id, std::string_view type,
                                          std::int64_t limit);

}  // namespace store
