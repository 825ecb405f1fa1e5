// Push certificate requests and the encrypted answers of mdmcert.download: files that come by e-mail and from
// strangers. Nothing but Error{bad_request} may come out, and a check never throws.
#include "proto/push_request.hpp"

#include "shared/input.hpp"
#include "sys/error.hpp"
#include "sys/time.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const file(reinterpret_cast<char const*>(data), size);
  constexpr std::int64_t kThen = 1'800'000'000;
  auto const expect = [](auto&& read) {
    try {
      read();
    } catch (sys::Error const& error) {
      fuzz::demand(error.fault() == sys::Fault::bad_request);
    }
  };
  expect([&] { (void)proto::push_request_chain(proto::read_push_request(file)); });
  expect([&] { fuzz::demand(proto::read_encrypted_request(file).size() <= size); });
  fuzz::demand(!proto::check_push_request(file, sys::from_unix(kThen)).empty());
  (void)proto::looks_like_encrypted_request(file);
  (void)proto::looks_like_push_request(file);
  return 0;
}
