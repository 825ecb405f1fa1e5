// Inside of sys/cms_scep: the object identifiers of SCEP's signed attributes (RFC 8894 section 3.2).
#pragma once

namespace sys::scep_oid {

inline constexpr char const* kMessageType = "2.16.840.1.113733.1.9.2";
inline constexpr char const* kPkiStatus = "2.16.840.1.113733.1.9.3";
inline constexpr char const* kFailInfo = "2.16.840.1.113733.1.9.4";
inline constexpr char const* kSenderNonce = "2.16.840.1.113733.1.9.5";
inline constexpr char const* kRecipientNonce = "2.16.840.1.113733.1.9.6";
inline constexpr char const* kTransactionId = "2.16.840.1.113733.1.9.7";
inline constexpr char const* kFailInfoText = "1.3.6.1.5.5.7.24.1";

}  // namespace sys::scep_oid
