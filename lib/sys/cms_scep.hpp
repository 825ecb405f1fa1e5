// The cryptographic half of SCEP (RFC 8894 section 3): a request is SignedData around EnvelopedData around a
// PKCS#10, a reply the same way back. What the attributes mean is proto/scep.
//
// Hostile input throughout; the caller bounds it to 64 KiB. BER and DER are both read (Apple's client streams
// BER). Order of trust: floors of algorithms and keys (sys/key_floor), then the outer signature, then
// decryption. Signatures: RSASSA-PKCS1-v1_5 or PSS. Key transport: PKCS#1 v1.5 only; no client is known to
// use OAEP, so it is refused, and not another way in. The signer proves nothing but that it holds its key.
// RSA decryption goes through CMS_decrypt, whose answer to a garbled RSA block is a random key, and
// everything that fails from there on is one ScepFault::unreadable, so that a sender learns nothing from how
// it failed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "sys/bytes.hpp"
#include "sys/key_floor.hpp"
#include "sys/x509.hpp"

struct CMS_ContentInfo_st;
struct CMS_SignerInfo_st;

namespace sys {

enum class ScepDigest { sha1, sha256, sha384, sha512 };
enum class ScepCipher { des, des3, aes128, aes192, aes256 };  // CBC; des to be read only

enum class ScepFault {
  weak,        // an algorithm or key below the floor
  forged,      // the outer signature does not verify
  unreadable,  // cannot be decrypted, or what comes out is not what it should be
};
struct ScepProblem {
  ScepFault fault;
  std::string reason;  // for the local log only
};

struct ScepRecipient {
  Cert cert;
  Key key;
};

// What a message asks for after its outer signature held.
struct ScepContent {
  Cert signer;                             // of the outer signature; believed in nothing
  ScepCipher cipher = ScepCipher::aes128;  // for the reply: the message's own, AES-128 where that is DES
  SecretBytes plain;                       // decrypted messageData
};

class ScepMessage {
 public:
  // Throws Error{bad_request} where no signed reply is possible: no SignedData, bytes behind it, not exactly
  // one signer, more than three certificates, no transactionID or senderNonce.
  static ScepMessage parse(std::string_view bytes);

  // Attributes as they were sent, each exactly one value of its type; not checked further.
  [[nodiscard]] std::string const& message_type() const noexcept { return message_type_; }  // "" when absent
  [[nodiscard]] std::string const& transaction_id() const noexcept { return transaction_id_; }
  [[nodiscard]] std::string const& sender_nonce() const noexcept { return sender_nonce_; }
  // For the reply: the request's own, SHA-256 where that is below the floor. SHA-1 only after check() took
  // it.
  [[nodiscard]] ScepDigest digest() const noexcept { return digest_; }

  // Floors and outer signature: nullopt when both hold.
  [[nodiscard]] std::optional<ScepProblem> check(OldAlgorithms old = OldAlgorithms::refused);
  // What check() let pass only because old algorithms are allowed: "DES-CBC SHA1", "" for none. For the log.
  [[nodiscard]] std::string const& old_algorithms() const noexcept { return old_algorithms_; }
  // Whose signature held: only after check() found nothing.
  [[nodiscard]] Cert const& signer() const;
  // Only after check() found nothing. DES is decrypted in an OpenSSL context of its own, made for this call:
  // nothing else in the process can use it.
  [[nodiscard]] std::variant<ScepContent, ScepProblem> open(
      std::vector<ScepRecipient> const& recipients) const;
  // Whether the envelope names one of these; false for what cannot be read. Only after check().
  [[nodiscard]] bool is_for(std::vector<ScepRecipient> const& recipients) const;

 private:
  explicit ScepMessage(CMS_ContentInfo_st* owned);
  void read_attributes();
  [[nodiscard]] std::optional<std::string> weakness(Cert const& signer, OldAlgorithms old);
  [[nodiscard]] std::optional<ScepProblem> check_cipher(OldAlgorithms old);

  std::shared_ptr<CMS_ContentInfo_st> cms_;
  CMS_SignerInfo_st* signer_info_ = nullptr;  // inside cms_
  std::string message_type_;
  std::string transaction_id_;
  std::string sender_nonce_;
  ScepDigest digest_ = ScepDigest::sha256;
  std::optional<Cert> signer_;
  std::string envelope_;
  std::string old_algorithms_;
};

struct ScepReply {
  Cert signer;  // RA (or CA) certificate, byte for byte what GetCACert gave
  Key key;
  std::string transaction_id;   // of the request
  std::string recipient_nonce;  // the request's senderNonce
  ScepDigest digest = ScepDigest::sha256;
};

// CertRep with pkiStatus SUCCESS: the certificate alone in a certs-only message without content, encrypted to
// the request's signer.
std::string scep_success(ScepReply const& reply, Cert const& issued, Cert const& recipient,
                         ScepCipher cipher);

// CertRep with pkiStatus FAILURE: `fail_info` is the decimal digit; an attached zero-length content, which
// certmonger needs and others do not mind.
std::string scep_failure(ScepReply const& reply, std::string_view fail_info, std::string_view text);

// Degenerate PKCS#7 SignedData (certs only) in this order: CMS would sort a SET OF, and Apple's client takes
// whatever comes first.
std::string certs_only(std::vector<Cert> const& certs);

}  // namespace sys
