#include "proto/checkin_ids.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace proto {

namespace {

using sys::Error;
using sys::Fault;

constexpr std::array<std::pair<Channel, char const*>, 5> kNames{{
    {Channel::device, "device"},
    {Channel::user, "user"},
    {Channel::shared_ipad_user, "shared-ipad-user"},
    {Channel::user_enrollment_device, "user-enrollment-device"},
    {Channel::user_enrollment_user, "user-enrollment-user"},
}};

std::optional<std::string> get(sys::Plist const& message, std::string_view key) {
  return message.find_string(key);
}

std::optional<std::string> get(sys::TopStrings const& top, std::string_view key) {
  auto const found = top.find(key);
  if (found == top.end()) return std::nullopt;
  return found->second;
}

bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string device_id(std::string const& key, std::string id) {
  bool const fits = is_plain_word(id, kLongestId) && id.find_first_of(":,") == std::string::npos;
  if (!fits)
    throw Error(Fault::bad_request, "message: " + key + " is no identifier of at most 255 plain characters");
  return id;
}

std::string user_id(std::string const& key, std::optional<std::string> id) {
  bool const fits = id && !id->empty() && id->size() <= kLongestId && sys::is_utf8(*id) &&
                    std::none_of(id->begin(), id->end(), is_control);
  if (!fits) throw Error(Fault::bad_request, "message: " + key + " is missing or no identifier");
  return *std::move(id);
}

template <typename Source>
Ids decode(Source const& source) {
  Ids ids;
  if (auto const name = get(source, "UserShortName")) ids.user_short_name = cut_text(*name);
  if (auto const name = get(source, "UserLongName")) ids.user_long_name = cut_text(*name);
  if (auto udid = get(source, "UDID")) {
    ids.device = device_id("UDID", *std::move(udid));
    auto user = get(source, "UserID");
    if (!user) return ids;
    if (*user == kSharedIpadUserId) {
      ids.channel = Channel::shared_ipad_user;
      ids.user = user_id("UserShortName", get(source, "UserShortName"));
    } else {
      ids.channel = Channel::user;
      ids.user = user_id("UserID", std::move(user));
    }
    return ids;
  }
  auto enrollment = get(source, "EnrollmentID");
  if (!enrollment) throw Error(Fault::bad_request, "message: neither UDID nor EnrollmentID");
  ids.device = device_id("EnrollmentID", *std::move(enrollment));
  ids.channel = Channel::user_enrollment_device;
  auto user = get(source, "EnrollmentUserID");
  if (!user) return ids;
  ids.channel = Channel::user_enrollment_user;
  ids.user = user_id("EnrollmentUserID", std::move(user));
  return ids;
}

}  // namespace

char const* channel_name(Channel channel) noexcept {
  for (auto const& [value, name] : kNames) {
    if (value == channel) return name;
  }
  return "device";
}

std::optional<Channel> parse_channel(std::string_view name) noexcept {
  for (auto const& [value, text] : kNames) {
    if (name == text) return value;
  }
  return std::nullopt;
}

Channel Ids::device_channel() const noexcept {
  bool const by_enrollment_id =
      channel == Channel::user_enrollment_device || channel == Channel::user_enrollment_user;
  return by_enrollment_id ? Channel::user_enrollment_device : Channel::device;
}

Ids decode_ids(sys::Plist const& message) { return decode(message); }
Ids decode_ids(sys::TopStrings const& top) { return decode(top); }

bool is_plain_word(std::string_view text, std::size_t longest) noexcept {
  return !text.empty() && text.size() <= longest &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string cut_text(std::string text, std::size_t longest) {
  if (text.size() > longest) text.resize(longest);
  while (!text.empty() && !sys::is_utf8(text)) text.pop_back();
  return text;
}

}  // namespace proto
