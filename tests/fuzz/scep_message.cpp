// SCEP: the first byte says what the rest is: a pkiMessage, the content of a well signed one, a certification
// request, the query of a GET, or names by which a certificate is asked for. Nothing but Error{bad_request}
// may come out of any of them.
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proto/scep.hpp"
#include "shared/cms.hpp"
#include "shared/input.hpp"
#include "sys/cms_scep.hpp"
#include "sys/csr.hpp"
#include "sys/error.hpp"
#include "sys/scep_content.hpp"

namespace {

using fuzz::demand;

fuzz::Identity const& recipient() {
  static fuzz::Identity const ours = fuzz::make_identity("fuzz");
  return ours;
}

void read_csr(std::string_view bytes) {
  auto const csr = sys::Csr::from_der(bytes);
  (void)csr.subject();
  (void)csr.weakness();
  (void)csr.verify();
  (void)csr.challenge();
}

void read_message(std::string_view bytes, sys::OldAlgorithms old = sys::OldAlgorithms::refused) {
  auto message = sys::ScepMessage::parse(bytes);
  (void)proto::is_transaction_id(message.transaction_id());
  if (message.check(old)) return;
  (void)message.signer().serial();
  std::vector<sys::ScepRecipient> const ours{{recipient().cert, recipient().key}};
  bool const named = message.is_for(ours);
  auto const opened = message.open(ours);
  if (auto const* content = std::get_if<sys::ScepContent>(&opened)) {
    demand(named);
    read_csr(content->plain.view());
  }
}

void read_content(std::string_view bytes) {
  try {
    auto const names = sys::read_issuer_and_subject(bytes);
    demand(sys::same_name(names.issuer_der, names.issuer_der));
  } catch (sys::Error const& error) {
    demand(error.fault() == sys::Fault::bad_request);
  }
  auto const content = sys::read_issuer_and_serial(bytes);
  demand(content.issuer_der.size() + content.serial.size() <= bytes.size());
}

void read_query(std::string_view query) {
  auto const request = proto::decode_scep_request("GET", query, "");
  demand(request.operation != proto::ScepOperation::pki_operation || !request.message.empty());
}

void run(std::uint8_t kind, std::string_view bytes) {
  switch (static_cast<std::uint8_t>(kind - '0') % 7) {
    case 0:
      return read_message(bytes);
    case 1:
      return read_message(fuzz::sign_scep(bytes, recipient(), {}));
    case 2:
      return read_csr(bytes);
    case 4:
      return read_content(bytes);
    case 5:
      return read_message(bytes, sys::OldAlgorithms::allowed);
    case 6:
      return read_message(fuzz::sign_scep(bytes, recipient(), {}, fuzz::Digest::sha1),
                          sys::OldAlgorithms::allowed);
    default:
      return read_query(bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  constexpr std::size_t kBodyLimit = 64U << 10U;
  if (size < 1 || size > kBodyLimit) return 0;
  try {
    run(data[0], {reinterpret_cast<char const*>(data) + 1, size - 1});
  } catch (sys::Error const& error) {
    demand(error.fault() == sys::Fault::bad_request);
  }
  return 0;
}
