// SCEP (RFC 8894) as text and numbers: the query of a request, the names of operations, message types and
// failures. The messages themselves are sys/cms_scep.
//
// All functions are pure and take hostile input; the web server bounds it (64 KiB). Error{bad_request} for
// what is no SCEP request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace proto {

enum class ScepOperation { get_ca_caps, get_ca_cert, pki_operation };

struct ScepHttpRequest {
  ScepOperation operation = ScepOperation::pki_operation;
  std::string message;  // PKIOperation: the CMS bytes; else empty (a CA identifier is not looked at)
};

// `method` GET, HEAD or POST; a POST means PKIOperation, whatever its content type and whether or not the
// query says so. In a GET the message is percent-decoded only ('+' stays '+', as Apple's and other clients
// send it), white space is dropped (sscep sends %0A), then base64.
ScepHttpRequest decode_scep_request(std::string_view method, std::string_view query, std::string_view body);

std::string_view scep_operation_name(ScepOperation operation) noexcept;

// RFC 8894 section 3.2.1.2; the value in the message is decimal text.
enum class ScepMessageType {
  cert_rep = 3,
  renewal_req = 17,
  pkcs_req = 19,
  cert_poll = 20,
  get_cert = 21,
  get_crl = 22
};
std::optional<ScepMessageType> parse_scep_message_type(std::string_view text) noexcept;

// RFC 8894 section 3.2.1.4.
enum class FailInfo { bad_alg = 0, bad_message_check = 1, bad_request = 2, bad_time = 3, bad_cert_id = 4 };
std::string_view fail_info_digit(FailInfo info) noexcept;
std::string_view fail_info_name(FailInfo info) noexcept;  // badAlg, ... for logs
// For failInfoText: the same for every failure of a kind, so that it tells a sender no more than the number.
std::string_view fail_info_text(FailInfo info) noexcept;

// Opaque, but text: 1 to 255 bytes of PrintableString (X.680 section 41.4).
bool is_transaction_id(std::string_view text) noexcept;

inline constexpr std::size_t kScepNonceBytes = 16;

// The body of GetCACaps. What is not implemented or not allowed is not listed: clients believe it. SHA-384 is
// there because strongSwan 5.9 finds AES only if it is.
struct ScepOffer {
  bool old_algorithms = false;  // SHA-1 and 3DES
  bool renewal = false;         // RenewalReq
};
std::string scep_capabilities(ScepOffer const& offer);

// Compared as a whole string by Apple's client: never with parameters.
inline constexpr char const* kScepCapsType = "text/plain";
inline constexpr char const* kScepCaType = "application/x-x509-ca-cert";  // one certificate, DER
inline constexpr char const* kScepCaRaType = "application/x-x509-ca-ra-cert";
inline constexpr char const* kScepMessageType = "application/x-pki-message";

}  // namespace proto
