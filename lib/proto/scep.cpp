#include "proto/scep.hpp"

#include <algorithm>
#include <array>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace proto {

namespace {

[[noreturn]] void refuse(char const* why) {
  throw sys::Error(sys::Fault::bad_request, std::string("SCEP request: ") + why);
}

// The first value of a key of the query, still escaped. Values may hold '=': base64 does.
std::optional<std::string_view> query_value(std::string_view query, std::string_view key) {
  while (!query.empty()) {
    auto const part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    if (part.substr(0, part.find('=')) != key) continue;
    auto const at = part.find('=');
    return at == std::string_view::npos ? std::string_view() : part.substr(at + 1);
  }
  return std::nullopt;
}

std::optional<ScepOperation> find_operation(std::string_view query) {
  auto const name = query_value(query, "operation");
  if (!name) return std::nullopt;
  for (auto const operation :
       {ScepOperation::get_ca_caps, ScepOperation::get_ca_cert, ScepOperation::pki_operation}) {
    if (*name == scep_operation_name(operation)) return operation;
  }
  refuse(*name == "GetNextCACert" ? "GetNextCACert, but there is no next CA" : "unknown operation");
}

std::string decode_message(std::string_view query) {
  auto const escaped = query_value(query, "message");
  if (!escaped) refuse("PKIOperation without message");
  auto const text = sys::percent_decode(*escaped);
  if (!text) refuse("the message is not percent-encoded");
  auto bytes = sys::unbase64(*text);
  if (!bytes) refuse("the message is not base64");
  return std::move(*bytes);
}

}  // namespace

ScepHttpRequest decode_scep_request(std::string_view method, std::string_view query, std::string_view body) {
  auto const operation = find_operation(query);
  ScepHttpRequest request;
  if (method == "POST") {
    if (operation.value_or(ScepOperation::pki_operation) != ScepOperation::pki_operation)
      refuse("this operation needs GET");
    request.message = std::string(body);
  } else if (method == "GET" || method == "HEAD") {
    if (!operation) refuse("no operation");
    request.operation = *operation;
    if (*operation == ScepOperation::pki_operation) {
      if (method == "HEAD") refuse("PKIOperation with HEAD");
      request.message = decode_message(query);
    }
  } else {
    refuse("neither GET nor POST");
  }
  // Devices probe with an empty POST before their first message.
  if (request.operation == ScepOperation::pki_operation && request.message.empty()) refuse("empty message");
  return request;
}

std::string_view scep_operation_name(ScepOperation operation) noexcept {
  switch (operation) {
    case ScepOperation::get_ca_caps:
      return "GetCACaps";
    case ScepOperation::get_ca_cert:
      return "GetCACert";
    case ScepOperation::pki_operation:
      break;
  }
  return "PKIOperation";
}

std::optional<ScepMessageType> parse_scep_message_type(std::string_view text) noexcept {
  using enum ScepMessageType;
  constexpr std::array<std::pair<std::string_view, ScepMessageType>, 6> kTypes{{{"3", cert_rep},
                                                                                {"17", renewal_req},
                                                                                {"19", pkcs_req},
                                                                                {"20", cert_poll},
                                                                                {"21", get_cert},
                                                                                {"22", get_crl}}};
  for (auto const& [digits, type] : kTypes)
    if (digits == text) return type;
  return std::nullopt;
}

std::string_view fail_info_digit(FailInfo info) noexcept {
  return std::string_view("01234").substr(static_cast<std::size_t>(info), 1);
}

std::string_view fail_info_name(FailInfo info) noexcept {
  constexpr std::array<std::string_view, 5> kNames{"badAlg", "badMessageCheck", "badRequest", "badTime",
                                                   "badCertId"};
  return kNames[static_cast<std::size_t>(info)];
}

std::string_view fail_info_text(FailInfo info) noexcept {
  switch (info) {
    case FailInfo::bad_alg:
      return "An algorithm or key is too weak; RSA 2048, SHA-256 and AES-CBC are accepted";
    case FailInfo::bad_message_check:
      return "The message cannot be verified or decrypted";
    case FailInfo::bad_request:
      return "The request is not permitted or not supported";
    case FailInfo::bad_time:
      return "The time of the message is not accepted";
    case FailInfo::bad_cert_id:
      break;
  }
  return "No such certificate";
}

bool is_transaction_id(std::string_view text) noexcept {
  constexpr std::size_t kLongest = 255;
  return !text.empty() && text.size() <= kLongest && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(" '()+,-./:=?").find(c) != std::string_view::npos;
  });
}

std::string scep_capabilities(ScepOffer const& offer) {
  std::string text = "AES\n";
  if (offer.old_algorithms) text += "DES3\n";
  text += "POSTPKIOperation\n";
  if (offer.renewal) text += "Renewal\n";
  if (offer.old_algorithms) text += "SHA-1\n";
  return text + "SHA-256\nSHA-384\nSHA-512\nSCEPStandard\n";
}

}  // namespace proto
