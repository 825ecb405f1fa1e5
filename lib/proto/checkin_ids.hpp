// Who a device message speaks for: its channel and the identifiers that name it.
//
// Source: Apple's check-in schema (UDID, EnrollmentID, UserID, UserShortName, EnrollmentUserID). The external
// id is NanoMDM's: UDID, UDID:UserID, UDID:UserShortName on Shared iPad, EnrollmentID,
// EnrollmentID:EnrollmentUserID. Identifiers are opaque and case-sensitive, at most 255 bytes each. A device
// id is printable ASCII without white space, colon or comma, so that no device can take the id of another
// one's user channel and lists of ids can be split at commas. Errors: Error{bad_request}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sys/plist.hpp"

namespace proto {

enum class Channel { device, user, shared_ipad_user, user_enrollment_device, user_enrollment_user };

// The text in column enrollments.channel.
char const* channel_name(Channel channel) noexcept;
std::optional<Channel> parse_channel(std::string_view name) noexcept;

inline constexpr std::string_view kSharedIpadUserId = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF";
inline constexpr std::size_t kLongestId = 255;  // bytes

struct Ids {
  Channel channel = Channel::device;
  std::string device;  // UDID or EnrollmentID
  std::string user;    // empty on the device channel
  std::optional<std::string> user_short_name = {};
  std::optional<std::string> user_long_name = {};

  [[nodiscard]] bool is_user() const noexcept { return !user.empty(); }
  [[nodiscard]] Channel device_channel() const noexcept;
  [[nodiscard]] std::string external() const { return user.empty() ? device : device + ':' + user; }
};

Ids decode_ids(sys::Plist const& message);
Ids decode_ids(sys::TopStrings const& top);  // where the tree cannot be read

// Printable ASCII without white space: topics, serial numbers, CommandUUIDs.
bool is_plain_word(std::string_view text, std::size_t longest) noexcept;

// Text for a VARCHAR(255) column: cut at a character, never refused, because it decides nothing.
std::string cut_text(std::string text, std::size_t longest = 255);

}  // namespace proto
