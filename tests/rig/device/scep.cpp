#include "scep.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include "bytes.hpp"
#include "csr.hpp"
#include "scep_message.hpp"

namespace device {
namespace {

struct Capabilities {
  bool post = false;
  bool aes = false;
  const EVP_MD* hash = nullptr;
};

std::string percent_encoded(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    result += plain ? std::string(1, c) : "%" + upper_hex(std::string_view(&c, 1));
  }
  return result;
}

// The payload URL's query is replaced, not extended.
std::string operation_url(const ScepPayload& payload, const std::string& operation) {
  std::string url = payload.url.substr(0, payload.url.find('?')) + "?operation=" + operation;
  if (operation != "PKIOperation" && !payload.name.empty())
    url += "&message=" + percent_encoded(payload.name);
  return url;
}

// Literal and case-sensitive; SCEPStandard means nothing to Apple's client.
Capabilities read_capabilities(const std::string& text) {
  std::set<std::string> words;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    words.insert(line);
  }
  const auto has = [&](const char* word) { return words.count(word) != 0; };
  const EVP_MD* hash = has("SHA-512") ? EVP_sha512() : has("SHA-256") ? EVP_sha256() : EVP_sha1();
  return {has("POSTPKIOperation"), has("AES"), hash};
}

const EVP_MD* hash_of_length(std::size_t bytes) {
  switch (bytes) {
    case 16:
      return EVP_md5();
    case 20:
      return EVP_sha1();
    case 28:
      return EVP_sha224();
    case 32:
      return EVP_sha256();
    case 48:
      return EVP_sha384();
    default:
      return EVP_sha512();
  }
}

void check_fingerprint(const ScepPayload& payload, X509* certificate) {
  if (payload.ca_fingerprint.empty()) return;
  if (digest(to_der(certificate), hash_of_length(payload.ca_fingerprint.size())) != payload.ca_fingerprint)
    throw Error("the certificates of GetCACert end in '" + common_name(certificate) +
                "', which does not match the profile's CAFingerprint");
}

// The top of the chain that starts at a certificate and stays within the given ones.
Certificate top_of_chain(Certificate certificate, const std::vector<Certificate>& all) {
  for (std::size_t depth = 0; depth < all.size(); ++depth) {
    const auto issuer = std::find_if(all.begin(), all.end(), [&](const Certificate& candidate) {
      return X509_check_issued(candidate.get(), certificate.get()) == X509_V_OK &&
             X509_verify(certificate.get(), X509_get0_pubkey(candidate.get())) == 1;
    });
    if (issuer == all.end() || *issuer == certificate) break;
    certificate = *issuer;
  }
  return certificate;
}

// Roles by keyUsage, not by order: one certificate for both, or one for signing and one for encryption.
ScepAuthority choose_roles(const std::vector<Certificate>& all) {
  ScepAuthority authority;
  for (const Certificate& certificate : all) {
    if (X509_check_ca(certificate.get()) != 0) continue;
    const std::uint32_t usage = X509_get_key_usage(certificate.get());
    if (usage == UINT32_MAX) continue;
    const bool signs = (usage & KU_DIGITAL_SIGNATURE) != 0;
    const bool encrypts = (usage & KU_KEY_ENCIPHERMENT) != 0;
    if (signs && (!authority.signing || encrypts)) authority.signing = certificate;
    if (encrypts && (!authority.encryption || signs)) authority.encryption = certificate;
  }
  if (!authority.signing || !authority.encryption)
    throw Error(
        "GetCACert gave no RA certificate with keyUsage digitalSignature and keyEncipherment, nor one for"
        " each (Apple's client: errSecKeyUsageIncorrect, -67731)");
  authority.ca = top_of_chain(authority.signing, all);
  if (authority.ca == authority.signing) throw Error("GetCACert gave no CA certificate that issued the RA's");
  return authority;
}

class Client {
 public:
  Client(Http& http, const ScepPayload& payload, const Key& key, const ScepHabits& habits, const Say& say)
      : http_(http), payload_(payload), key_(key), habits_(habits), say_(say) {}

  Identity run() {
    get_authority();
    get_capabilities();
    signer_ = make_temporary_signer(key_, capabilities_.hash);
    const std::string csr = make_csr(payload_, key_.get(), capabilities_.hash);
    ScepReply reply = operate(pkcs_req, csr);
    const std::string poll = issuer_and_subject(authority_.ca.get(), csr);
    for (int attempt = 1; reply.pending && attempt <= payload_.retries; ++attempt) {
      say_("SCEP: the request is pending, next poll in " + std::to_string(payload_.retry_delay) + " s");
      std::this_thread::sleep_for(std::chrono::seconds(payload_.retry_delay));
      reply = operate(cert_poll, poll);
    }
    if (reply.pending)
      throw Error("the SCEP request was still pending after " + std::to_string(payload_.retries) + " polls");
    return make_identity(key_, reply.issued);
  }

 private:
  Reply get(const std::string& url) {
    return http_.perform({"scep", "GET", url, habits_.user_agent, "", {}});
  }

  void get_authority() {
    const Reply reply = get(operation_url(payload_, "GetCACert"));
    if (reply.content_type == "application/x-x509-ca-cert") {
      const Certificate ca = certificate_from_der(reply.body);
      authority_ = {ca, ca, ca};
    } else if (reply.content_type == "application/x-x509-ca-ra-cert") {
      authority_ = choose_roles(certificates_in(reply.body));
    } else {
      refuse_type("GetCACert", reply, "application/x-x509-ca-cert or application/x-x509-ca-ra-cert");
    }
    check_fingerprint(payload_, authority_.ca.get());
    if (EVP_PKEY_is_a(X509_get0_pubkey(authority_.encryption.get()), "RSA") != 1)
      throw Error("the SCEP server's encryption certificate has no RSA key; Apple's client needs one");
  }

  void get_capabilities() {
    const Reply reply = get(operation_url(payload_, "GetCACaps"));
    if (!reply.ok() || !reply.content_type.starts_with("text/plain"))
      refuse_type("GetCACaps", reply, "text/plain");
    capabilities_ = read_capabilities(reply.body);
  }

  ScepReply operate(int type, const std::string& data) {
    const ScepRequest request{type, transaction_id(signer_.certificate.get()), random_bytes(16)};
    const EVP_CIPHER* cipher = capabilities_.aes ? EVP_aes_128_cbc() : EVP_des_ede3_cbc();
    const std::string message = encode_request(request, data, authority_.encryption.get(), signer_,
                                               {capabilities_.hash, cipher, habits_.segment});
    const Reply reply = send(message);
    if (reply.content_type != "application/x-pki-message")
      refuse_type("PKIOperation", reply, "application/x-pki-message");
    return read_reply(reply.body, request, authority_, signer_);
  }

  Reply send(const std::string& message) {
    const std::string url = operation_url(payload_, "PKIOperation");
    if (capabilities_.post)
      return http_.perform(
          {"scep", "POST", url, habits_.user_agent, message, {"Content-Type: application/x-pki-message"}});
    std::string text = base64(message);  // only = is escaped, + and / stay
    for (std::size_t at = text.find('='); at != std::string::npos; at = text.find('=', at))
      text.replace(at, 1, "%3D");
    return get(url + "&message=" + text);
  }

  // The status is not looked at by Apple's client, the whole Content-Type is.
  [[noreturn]] static void refuse_type(const std::string& operation, const Reply& reply,
                                       const char* expected) {
    throw Error(operation + ": HTTP " + std::to_string(reply.status) + " with Content-Type '" +
                reply.content_type + "'; Apple's client wants exactly " + expected);
  }

  Http& http_;
  const ScepPayload& payload_;
  const Key& key_;
  const ScepHabits& habits_;
  const Say& say_;
  ScepAuthority authority_;
  Capabilities capabilities_;
  Identity signer_;
};

}  // namespace

Identity scep_enrol(Http& http, const ScepPayload& payload, const Key& key, const ScepHabits& habits,
                    const Say& say) {
  if (payload.challenge.empty())
    throw Error("the SCEP payload has no Challenge: a device would ask its user for one");
  return Client(http, payload, key, habits, say).run();
}

}  // namespace device
