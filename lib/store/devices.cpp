#include "store/devices.hpp"

namespace store {

namespace {

constexpr char const* kSelect =
    "SELECT id, external_id, user_enrollment, serial_number, model, model_name, product_name, device_name, "
    "os_version, build_version FROM devices";

std::optional<Device> read(std::optional<sys::DbRow> const& row) {
  if (!row) return std::nullopt;
  return Device{row->integer(0),    row->text(1),       row->integer(2) != 0, row->maybe_text(3),
                row->maybe_text(4), row->maybe_text(5), row->maybe_text(6),   row->maybe_text(7),
                row->maybe_text(8), row->maybe_text(9)};
}

}  // namespace

std::optional<Device> find_device(sys::Db& db, std::int64_t id) {
  return read(db.query_row(std::string(kSelect) + " WHERE id = ?", {id}));
}

std::optional<Device> find_device(sys::Db& db, std::string_view external_id, Lock lock) {
  return read(db.query_row(
      std::string(kSelect) + " WHERE external_id = ?" + (lock == Lock::update ? " FOR UPDATE" : ""),
      {external_id}));
}

std::int64_t keep_device(sys::Db& db, proto::Ids const& ids, proto::Authenticate const& said, sys::Time now) {
  bool const user_enrollment = ids.device_channel() == proto::Channel::user_enrollment_device;
  return static_cast<std::int64_t>(db.insert(
      "INSERT INTO devices (external_id, user_enrollment, serial_number, model, model_name, product_name, "
      "device_name, os_version, build_version, created_at, updated_at) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
      "ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), "
      "serial_number = COALESCE(VALUES(serial_number), serial_number), "
      "model = COALESCE(VALUES(model), model), model_name = COALESCE(VALUES(model_name), model_name), "
      "product_name = COALESCE(VALUES(product_name), product_name), "
      "device_name = COALESCE(VALUES(device_name), device_name), "
      "os_version = COALESCE(VALUES(os_version), os_version), "
      "build_version = COALESCE(VALUES(build_version), build_version), updated_at = VALUES(updated_at)",
      {ids.device, user_enrollment, said.serial_number, said.model, said.model_name, said.product_name,
       said.device_name, said.os_version, said.build_version, now, now}));
}

}  // namespace store
