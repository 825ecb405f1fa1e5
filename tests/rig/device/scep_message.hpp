// SCEP messages (RFC 8894 section 3) with the habits of Apple's client: streamed BER in both layers when
// writing; when reading, the checks that Apple's client makes and those of the RFC that it leaves out.
#pragma once
#include <string>
#include <vector>

#include "crypto.hpp"

namespace device {

inline constexpr int pkcs_req = 19;
inline constexpr int cert_poll = 20;

struct ScepRequest {
  int type = pkcs_req;
  std::string transaction_id;
  std::string sender_nonce;  // 16 bytes
};

struct ScepStyle {
  const EVP_MD* hash = nullptr;
  const EVP_CIPHER* cipher = nullptr;
  std::size_t segment = 0;  // bytes in one piece of a constructed OCTET STRING
};

// The certificates of GetCACert in their roles; with a CA alone all three are the same.
struct ScepAuthority {
  Certificate ca, signing, encryption;
};

struct ScepReply {
  bool pending = false;
  Certificate issued;  // unset while pending
};

std::string encode_request(const ScepRequest& request, const std::string& data, X509* recipient,
                           const Identity& signer, const ScepStyle& style);

// Refuses (device::Error) a FAILURE with the reason the server gave, and everything that Apple's client
// refuses.
ScepReply read_reply(const std::string& bytes, const ScepRequest& request, const ScepAuthority& authority,
                     const Identity& signer);

// The certificates of a certs-only message, in their order.
std::vector<Certificate> certificates_in(const std::string& certs_only);

}  // namespace device
