// What is said to mdmcert.download and what it answers. Pure. The signed request itself comes by e-mail: see
// proto/push_request.
#pragma once

#include <string>
#include <string_view>

#include "sys/bytes.hpp"

namespace proto {

struct MdmcertRequest {
  std::string csr_pem;         // of the push certificate
  std::string encryption_pem;  // the certificate that the answer is encrypted to
  std::string email;           // as registered there
  sys::SecretBytes product_key;
};
sys::SecretBytes write_mdmcert_request(MdmcertRequest const& request);  // JSON; holds the key

// "" when the service took it, else why not, in its words where it has any, printable.
std::string read_mdmcert_answer(long status, std::string_view body);

}  // namespace proto
