// Everything that a device request needs to know about its sender, in one round trip: the presented
// certificate, the device channel it is bound to, the channel that speaks and, for Idle, the next command.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/auth.hpp"
#include "proto/checkin_ids.hpp"
#include "store/certificates.hpp"
#include "store/enrollments.hpp"
#include "store/queue.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

struct Sender {
  struct Identity {
    std::int64_t id = 0;
    CertStatus status = CertStatus::pending;
    std::optional<std::int64_t> ticket_id = {};
    std::optional<std::int64_t> enrollment_id = {};  // bound to
    sys::Time not_before = {};
    sys::Time not_after = {};
    std::optional<sys::Time> first_seen_at = {};
    std::optional<sys::Time> retiring_at = {};
  };
  struct DeviceChannel {
    std::int64_t id = 0;
    std::string uuid = {};
    std::int64_t device_id = 0;
    std::int64_t generation = 0;
    proto::Channel channel = proto::Channel::device;
    std::string external_id = {};
    EnrollmentState state = EnrollmentState::current;
    bool frozen = false;
    proto::AuthKind auth = proto::AuthKind::tls;
    std::string topic = {};
    std::int64_t token_update_tally = 0;
  };
  struct ChannelRow {
    std::int64_t id = 0;
    EnrollmentState state = EnrollmentState::current;
    std::int64_t token_update_tally = 0;
    std::optional<sys::Time> last_seen_at = {};
    bool push_dead = false;
  };

  std::optional<Identity> identity = {};
  std::optional<DeviceChannel> device = {};  // what the identity is bound to
  std::optional<ChannelRow> channel = {};    // of that device, with the message's external id
  bool not_now = false;                      // deliveries wait for a new session
  std::optional<NextCommand> next = {};      // with_next only
};

struct SenderQuery {
  std::string_view certificate_sha256;
  std::string_view external_id;
  bool with_next = false;
  // Repeats the look-up behind everything that other nodes of a cluster have committed: before a refusal.
  bool synced = false;
  bool user_channel = false;  // the external id is that of a channel below the certificate's
};

Sender find_sender(sys::Db& db, SenderQuery const& query);

}  // namespace store
