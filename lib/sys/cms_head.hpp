// Inside of sys: the head of a SignedData (RFC 5652 section 5.1), looked at before OpenSSL verifies it.
//
// OpenSSL makes one digest for every entry of digestAlgorithms and runs the whole content through each. The
// entries are not signed and may repeat, so a small message with thousands of them would cost minutes. BER as
// well as DER, hostile, bounded by the caller.
#pragma once

#include <optional>
#include <string_view>

#include "sys/x509.hpp"

struct CMS_ContentInfo_st;
struct CMS_SignerInfo_st;

namespace sys {

// Error{bad_request} for what is no SignedData, or names more digests than any client does.
void check_signed_data_head(std::string_view cms);

// The certificate that the SignerInfo names, out of those in the message. Nothing is proven by it.
std::optional<Cert> embedded_signer(CMS_ContentInfo_st* cms, CMS_SignerInfo_st* info);

}  // namespace sys
