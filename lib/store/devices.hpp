// Devices: one row per UDID or EnrollmentID, kept over all its enrolments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/checkin.hpp"
#include "store/tickets.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

struct Device {
  std::int64_t id = 0;
  std::string external_id = {};
  bool user_enrollment = false;
  std::optional<std::string> serial_number = {}, model = {}, model_name = {}, product_name = {},
                             device_name = {}, os_version = {}, build_version = {};
};

std::optional<Device> find_device(sys::Db& db, std::int64_t id);
std::optional<Device> find_device(sys::Db& db, std::string_view external_id, Lock lock = Lock::none);

// Inserts the row or brings it up to date with what the device says about itself; what it leaves out stays.
// Returns the id and holds the row's lock, which orders everything that changes the device's generations.
std::int64_t keep_device(sys::Db& db, proto::Ids const& ids, proto::Authenticate const& said, sys::Time now);

}  // namespace store
