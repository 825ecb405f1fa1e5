// Certification requests: as they come, and with any name and any attributes behind a signature that holds.
// Nothing but Error{bad_request} may come out.
#include "sys/csr.hpp"

#include <string>

#include "shared/cms.hpp"
#include "shared/input.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace {

using fuzz::demand;

sys::Key const& key() {
  static sys::Key const ours = sys::Key::generate_rsa(2048);
  return ours;
}

template <typename Ask>
void expect_only_bad_request(Ask&& ask) {
  try {
    ask();
  } catch (sys::Error const& error) {
    demand(error.fault() == sys::Fault::bad_request);
  }
}

// Each question on its own: one that throws must not hide the next.
void ask_all(sys::Csr const& csr) {
  expect_only_bad_request([&] { (void)csr.subject(); });
  expect_only_bad_request([&] { (void)csr.weakness(); });
  expect_only_bad_request([&] { (void)csr.verify(); });
  expect_only_bad_request([&] { (void)csr.challenge(); });
  expect_only_bad_request([&] { demand(!csr.public_key().public_der().empty()); });
}

// subject and attributes are DER as they are in the input; a challenge of any text may stand before them.
void read_signed(fuzz::Input& input) {
  bool const with_challenge = input.byte() % 2 == 0;
  auto const challenge = input.text();
  auto const subject = input.text();
  std::string attributes = with_challenge ? fuzz::challenge_attribute(challenge) : std::string();
  attributes += input.rest();
  auto const csr = sys::Csr::from_der(
      fuzz::sign_csr(subject.empty() ? std::string_view("0\0", 2) : subject, attributes, key()));
  demand(csr.verify());
  demand(!csr.weakness());
  demand(csr.public_key().same_public_key(key()));
  ask_all(csr);
}

void run(fuzz::Input& input) {
  switch (input.byte() % 3) {
    case 0:
      return ask_all(sys::Csr::from_der(input.rest()));
    case 1:
      return ask_all(sys::Csr::read(input.rest()));
    default:
      return read_signed(input);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  constexpr std::size_t kBodyLimit = 64U << 10U;
  if (size > kBodyLimit) return 0;
  fuzz::Input input(data, size);
  expect_only_bad_request([&] { run(input); });
  return 0;
}
