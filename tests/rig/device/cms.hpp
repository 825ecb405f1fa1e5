// Cryptographic messages in the very forms that Apple's clients send: streamed BER (indefinite lengths, OCTET
// STRINGs in pieces) for SCEP, and the forms of the Mdm-Signature header. Reading: signed profiles.
#pragma once
#include <string>
#include <string_view>

#include "crypto.hpp"

namespace device {

// How Mdm-Signature is made. apple: BER indefinite, SHA-1, no signed attributes, as observed. attributes:
// DER, SHA-256, signed attributes with signingTime. sha256: as apple, with SHA-256.
enum class SignatureForm { apple, attributes, sha256 };
SignatureForm signature_form_from(std::string_view name);  // apple, attrs, sha256
std::string name_of(SignatureForm form);

// Detached signature over the exact body, signer certificate included (the leaf alone); not yet base64.
// skew: seconds by which the device's clock is off, told by the signingTime of form attributes.
std::string mdm_signature(const Identity& identity, std::string_view body, SignatureForm form, int skew = 0);

// Encodes a message of CMS_sign or CMS_encrypt (CMS_PARTIAL | CMS_STREAM) around content as streamed BER,
// whose constructed OCTET STRING has segments of at most that many bytes.
std::string encode_streamed(CMS_ContentInfo* message, std::string_view content, std::size_t segment);

// The content of EnvelopedData for this identity, as in EncryptedPayloadContent.
std::string open_envelope(const std::string& bytes, const Identity& identity);

// The content of a CMS-signed profile, its signature checked against the certificates inside (not their
// issuer). signer gets the signer's name. Plain profiles come back as they are, with an empty signer.
std::string unwrap_signed(const std::string& bytes, std::string& signer);

}  // namespace device
