// Reports of devices and commands of admins: nothing but Error{bad_request} may come out, and a report that
// is let through, readable or not, names a sender and something that fits into its column.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/command.hpp"
#include "sys/error.hpp"

namespace {

void demand(bool truth) {
  if (!truth) std::abort();
}

template <typename Decode>
void expect_only_bad_request(Decode&& decode) {
  try {
    decode();
  } catch (sys::Error const& error) {
    demand(error.fault() == sys::Fault::bad_request);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const body(reinterpret_cast<char const*>(data), size);
  // A small limit, so that the way of oversized reports is walked too.
  constexpr std::size_t kLimit = 8U << 10U;
  expect_only_bad_request([&] {
    auto const report = proto::decode_report(body, kLimit);
    demand(!report.ids.device.empty());
    demand(report.command_uuid.empty() || proto::is_plain_word(report.command_uuid, proto::kLongestUuid));
    demand(report.status != proto::ReportStatus::idle || report.command_uuid.empty());
    demand(report.status != proto::ReportStatus::oversized || size > kLimit);
  });
  expect_only_bad_request([&] {
    auto const command = proto::check_command(body);
    demand(proto::is_plain_word(command.uuid, proto::kLongestUuid));
    demand(proto::is_plain_word(command.request_type, proto::kLongestUuid));
  });
  return 0;
}
