// Mdm-Signature and client certificates: the first byte says what the rest is. Nothing but Error{bad_request}
// and Error{unauthenticated} may come out, and a signature counts for exactly the bytes it was made over.
#include <optional>
#include <string>

#include "service/identity.hpp"
#include "shared/cms.hpp"
#include "shared/input.hpp"
#include "sys/cms.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace {

using fuzz::demand;

fuzz::Identity const& signer() {
  static fuzz::Identity const ours = fuzz::make_identity("fuzz");
  return ours;
}

bool verifies(std::string_view cms, std::string_view content) {
  try {
    (void)sys::verify_detached(cms, content);
    return true;
  } catch (sys::Error const& error) {
    demand(error.fault() == sys::Fault::bad_request || error.fault() == sys::Fault::unauthenticated);
    return false;
  }
}

// Parameters of a request as they come, certificate and signature being any text.
void present(fuzz::Input& input) {
  auto const verify = input.choose<4>({"SUCCESS", "NONE", "FAILED:certificate has expired", ""});
  auto const certificate = input.text();
  auto const signature = input.text();
  (void)service::present({verify, certificate, signature}, input.rest());
}

// Any bytes as a certificate in the form in which nginx hands it over.
void present_certificate(fuzz::Input& input) {
  std::string const pem =
      "-----BEGIN CERTIFICATE-----\n" + sys::base64(input.rest()) + "\n-----END CERTIFICATE-----\n";
  demand(service::present({"SUCCESS", sys::percent_encode(pem), {}}, {}).sha256.size() == 32);
}

// Any content behind a signature that holds, with any further signed attribute.
void check_signed(fuzz::Input& input) {
  bool const attributes = input.byte() % 2 == 0;
  auto const content = input.text();
  auto const extra = input.rest();
  auto const cms = fuzz::sign_detached(content, signer(), attributes, extra);
  demand(!extra.empty() || verifies(cms, content));
  demand(!verifies(cms, std::string(content) + 'x'));
  auto const presented = service::present(
      {"NONE", {}, sys::base64(fuzz::sign_detached(content, signer(), attributes))}, content);
  demand(presented.sha256 == signer().cert.sha256());
  demand(presented.signing_time.has_value() == attributes);
}

// A good signature with some bytes changed: position and new value.
void check_patched(fuzz::Input& input) {
  bool const attributes = input.byte() % 2 == 0;
  constexpr std::string_view kContent = "content";
  static std::string const good[2] = {fuzz::sign_detached(kContent, signer(), false),
                                      fuzz::sign_detached(kContent, signer(), true)};
  std::string cms = good[attributes ? 1 : 0];
  while (!input.empty()) {
    std::size_t const at = input.number() % cms.size();
    cms[at] = static_cast<char>(input.byte());
  }
  demand(!verifies(cms, "other content"));
  (void)verifies(cms, kContent);
}

void run(fuzz::Input& input) {
  switch (input.byte() % 6) {
    case 0:
      return present(input);
    case 1: {
      auto const content = input.text();
      (void)verifies(input.rest(), content);
      return;
    }
    case 2:
      return check_signed(input);
    case 3: {
      std::string content;
      (void)sys::verify_attached(input.rest(), content);
      return;
    }
    case 4:
      return check_patched(input);
    default:
      return present_certificate(input);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  constexpr std::size_t kLargest = 64U << 10U;
  if (size > kLargest) return 0;
  fuzz::Input input(data, size);
  try {
    run(input);
  } catch (sys::Error const& error) {
    demand(error.fault() == sys::Fault::bad_request || error.fault() == sys::Fault::unauthenticated);
  }
  return 0;
}
