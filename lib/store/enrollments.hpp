// Enrolments: one row per generation and channel. A re-enrolment inserts rows and closes the old ones;
// nothing is moved. User channels hang under the row of their device channel and end with it.
//
// Who decides what a row becomes is the caller; these functions only read and write. Error{conflict} when two
// rows would be current under one id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/auth.hpp"
#include "proto/checkin_ids.hpp"
#include "store/tickets.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

enum class EnrollmentState { pending, current, replaced, checked_out, disabled, rejected };
std::string_view enrollment_state_name(EnrollmentState state) noexcept;  // "checked-out"
EnrollmentState read_enrollment_state(std::string_view text);            // a column's; throws Error{internal}

struct Enrollment {
  std::int64_t id = 0;
  std::string uuid = {};
  std::int64_t device_id = 0;
  std::int64_t generation = 1;
  std::optional<std::int64_t> parent_id = {};  // the device channel of a user channel
  proto::Channel channel = proto::Channel::device;
  std::string external_id = {};
  EnrollmentState state = EnrollmentState::current;
  bool frozen = false;
  proto::AuthKind auth = proto::AuthKind::tls;
  std::string topic = {};
  std::optional<std::string> push_magic = {};
  std::optional<std::string> push_token = {};
  std::optional<std::string> user_short_name = {};
  std::optional<std::string> user_long_name = {};
  bool awaiting_configuration = false;
  std::optional<std::int64_t> profile_id = {};
  std::int64_t token_update_tally = 0;  // 0: not usable yet
  sys::Time created_at = {};
  std::optional<sys::Time> token_updated_at = {};
  std::optional<sys::Time> last_seen_at = {};
  std::optional<sys::Time> ended_at = {};
};

// `id` and what only a TokenUpdate brings are not looked at. A row in state current holds its id.
std::int64_t insert_enrollment(sys::Db& db, Enrollment const& row);

std::optional<Enrollment> find_enrollment(sys::Db& db, std::int64_t id, Lock lock = Lock::none);
std::optional<Enrollment> find_current(sys::Db& db, std::string_view external_id, Lock lock = Lock::none);
// The device channel of the newest generation in one of the states that a re-enrolment must respect: current
// or disabled by an admin.
std::optional<Enrollment> find_standing(sys::Db& db, std::int64_t device_id);
std::optional<Enrollment> find_user_channel(sys::Db& db, std::int64_t parent_id, std::string_view external_id,
                                            Lock lock = Lock::none);

// Device channels of a device, newest generation first; with `channels_of` the user channels of one.
std::vector<Enrollment> generations_of(sys::Db& db, std::int64_t device_id);
std::vector<Enrollment> channels_of(sys::Db& db, std::int64_t device_channel_id);

std::optional<Enrollment> find_enrollment_by_uuid(sys::Db& db, std::string_view uuid);
// Of any generation and state, newest first.
std::vector<Enrollment> enrollments_with_id(sys::Db& db, std::string_view external_id);

struct EnrollmentSummary {
  Enrollment enrollment;
  std::optional<std::string> serial_number, device_name, product_name, os_version;
  std::int64_t outstanding = 0;  // deliveries in its queue
};
struct EnrollmentFilter {
  std::optional<EnrollmentState> state = {};
  std::int64_t above_id = 0;  // the cursor of a page
  std::int64_t limit = 10000;
};
std::vector<EnrollmentSummary> list_enrollments(sys::Db& db, EnrollmentFilter const& filter);

// The generation that comes next for the device.
std::int64_t next_generation(sys::Db& db, std::int64_t device_id);

// A device channel with its user channels leaves the states pending and current; user channels that were
// closed before stay as they are.
void close_enrollment(sys::Db& db, std::int64_t device_channel_id, EnrollmentState state, sys::Time now);
// A device channel with its user channels (those in state `from`) becomes current under its id.
void make_current(sys::Db& db, std::int64_t device_channel_id, EnrollmentState from);
void close_user_channel(sys::Db& db, std::int64_t id, sys::Time now);
void reopen_user_channel(sys::Db& db, std::int64_t id);
// False when it was so already.
bool set_frozen(sys::Db& db, std::int64_t device_channel_id, bool frozen);

struct PushAddress {
  std::string token;
  std::string push_magic;
  bool awaiting_configuration = false;
};
void update_tokens(sys::Db& db, std::int64_t id, PushAddress const& address, proto::Ids const& ids,
                   sys::Time now);  // the tally grows by one
void mark_enrollment_seen(sys::Db& db, std::int64_t id, sys::Time now);

// What the ticket's holder was given, if it was rendered here.
std::optional<std::int64_t> profile_of_ticket(sys::Db& db, std::int64_t ticket_id);

}  // namespace store
