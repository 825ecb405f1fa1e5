// SCEP: the first byte says what the rest is: a pkiMessage, the content of a well signed one, a certification
// request, the query of a GET, or names by which a certificate is asked for. Nothing but Error{bad_request}
// may come out of any of them.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proto/scep.hpp"
#include "sys/cms_scep.hpp"
#include "sys/csr.hpp"
#include "sys/error.hpp"
#include "sys/openssl.hpp"
#include "sys/scep_attributes.hpp"
#include "sys/scep_content.hpp"

namespace {

void demand(bool truth) {
  if (!truth) std::abort();
}

sys::ScepRecipient make_recipient() {
  auto key = sys::Key::generate_rsa(2048);
  sys::CertTemplate wanted;
  wanted.subject = {{"CN", "fuzz"}};
  wanted.serial = "fuzz";
  wanted.not_before = sys::from_unix(1'700'000'000);
  wanted.not_after = sys::from_unix(2'000'000'000);
  return {sys::issue(wanted, key, std::nullopt, key), key};
}

sys::ScepRecipient const& recipient() {
  static sys::ScepRecipient const ours = make_recipient();
  return ours;
}

void add(CMS_SignerInfo* info, char const* oid, int type, std::string_view value) {
  demand(CMS_signed_add1_attr_by_txt(info, oid, type, value.data(), static_cast<int>(value.size())) == 1);
}

// Mutated content behind a signature that holds: what a sender with a key of its own can do.
std::string sign(std::string_view content) {
  constexpr unsigned kFlags = CMS_PARTIAL | CMS_BINARY | CMS_NOSMIMECAP;
  sys::ossl::Cms const cms(CMS_sign(nullptr, nullptr, nullptr, nullptr, kFlags));
  CMS_SignerInfo* info =
      CMS_add1_signer(cms.get(), recipient().cert.raw(), recipient().key.raw(), EVP_sha256(), kFlags);
  demand(info != nullptr);
  add(info, sys::scep_oid::kMessageType, V_ASN1_PRINTABLESTRING, "19");
  add(info, sys::scep_oid::kTransactionId, V_ASN1_PRINTABLESTRING, "T");
  add(info, sys::scep_oid::kSenderNonce, V_ASN1_OCTET_STRING, "0123456789abcdef");
  auto const in = sys::ossl::memory_bio(content);
  demand(CMS_final(cms.get(), in.get(), nullptr, kFlags) == 1);
  return sys::ossl::to_der<CMS_ContentInfo>(cms.get(), i2d_CMS_ContentInfo);
}

void read_csr(std::string_view bytes) {
  auto const csr = sys::Csr::from_der(bytes);
  (void)csr.subject();
  (void)csr.weakness();
  (void)csr.verify();
  (void)csr.challenge();
}

void read_message(std::string_view bytes) {
  auto message = sys::ScepMessage::parse(bytes);
  (void)proto::is_transaction_id(message.transaction_id());
  if (message.check()) return;
  std::vector<sys::ScepRecipient> const ours{recipient()};
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
  switch (static_cast<std::uint8_t>(kind - '0') % 5) {
    case 0:
      return read_message(bytes);
    case 1:
      return read_message(sign(bytes));
    case 2:
      return read_csr(bytes);
    case 4:
      return read_content(bytes);
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
