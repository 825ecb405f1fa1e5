// Check-in messages: nothing but Error{bad_request} may come out, and what is let through keeps its limits.
#include "proto/checkin.hpp"

#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <variant>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace {

void demand(bool truth) {
  if (!truth) std::abort();
}

void check_text(std::optional<std::string> const& text) {
  demand(!text || (text->size() <= 255 && sys::is_utf8(*text)));
}

void check_ids(proto::Ids const& ids) {
  demand(!ids.device.empty() && ids.device.size() <= proto::kLongestId);
  demand(ids.device.find_first_of(":, ") == std::string::npos);
  demand(ids.user.size() <= proto::kLongestId && sys::is_utf8(ids.user));
  demand(ids.is_user() == (ids.channel != ids.device_channel()));
  check_text(ids.user_short_name);
  check_text(ids.user_long_name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  constexpr std::size_t kLimit = 1U << 20U;
  try {
    auto const checkin = proto::decode_checkin({reinterpret_cast<char const*>(data), size}, kLimit);
    check_ids(checkin.ids);
    demand(!checkin.type.empty() && checkin.type.size() <= 64);
    if (auto const* update = std::get_if<proto::TokenUpdate>(&checkin.message)) {
      demand(!update->token.empty() && update->token.size() <= proto::kLargestToken);
      demand(!update->push_magic.empty() && update->push_magic.size() <= proto::kLargestToken);
    }
    if (auto const* said = std::get_if<proto::Authenticate>(&checkin.message)) {
      demand(proto::is_plain_word(said->topic, proto::kLongestTopic));
      demand(!said->serial_number || proto::is_plain_word(*said->serial_number, 64));
      for (auto const* text : {&said->model, &said->model_name, &said->product_name, &said->device_name})
        check_text(*text);
    }
  } catch (sys::Error const& error) {
    demand(error.fault() == sys::Fault::bad_request);
  }
  return 0;
}
