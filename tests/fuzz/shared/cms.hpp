// What a sender with a key of its own can do: wrap mutated content into signatures and envelopes that hold.
#pragma once

#include <string>
#include <string_view>

#include "sys/x509.hpp"

namespace fuzz {

struct Identity {
  sys::Cert cert;
  sys::Key key;
};

// Self-signed, with a new RSA-2048 key.
Identity make_identity(std::string_view name);

// One element of DER: a tag of one byte and any content.
std::string der(unsigned char tag, std::string_view content);

struct ScepAttributes {
  std::string_view message_type = "19";
  std::string_view transaction_id = "T";
  std::string_view sender_nonce = "0123456789abcdef";
};

enum class Digest { sha1, sha256, sha384, sha512, md5 };
// Attached SignedData with SCEP's attributes; an empty one is left out.
std::string sign_scep(std::string_view content, Identity const& signer, ScepAttributes const& attributes,
                      Digest digest = Digest::sha256);

enum class Cipher { aes128, aes192, aes256, des3 };
// EnvelopedData; "" where OpenSSL refuses.
std::string envelop(std::string_view content, sys::Cert const& recipient, Cipher cipher = Cipher::aes256);

// A certification request whose own signature holds, around any name and attributes in DER.
std::string sign_csr(std::string_view subject, std::string_view attributes, sys::Key const& key);
// The attribute challengePassword as PrintableString.
std::string challenge_attribute(std::string_view challenge);

// Detached, with or without signed attributes; `extra` is put into them as one attribute's DER where OpenSSL
// can read it as one.
std::string sign_detached(std::string_view content, Identity const& signer, bool attributes,
                          std::string_view extra = {});

}  // namespace fuzz
