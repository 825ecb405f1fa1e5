#include "service/push_file.hpp"

#include <optional>

#include "proto/push_request.hpp"
#include "sys/csr.hpp"
#include "sys/error.hpp"
#include "sys/pkcs12.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using sys::Error;
using sys::Fault;
using sys::SecretBytes;

constexpr std::string_view kKeyWord = "PRIVATE KEY-----";

[[noreturn]] void refuse(std::string const& name, std::string const& why) {
  throw Error(Fault::bad_request, "read " + name + ": " + why);
}

bool contains(std::string_view file, std::string_view words) {
  return file.find(words) != std::string_view::npos;
}

// A key file often stands in one file with the certificate; only its own block is given to the parser.
std::string_view key_block(std::string_view file) {
  auto const word = file.find(kKeyWord);
  auto const begin = word == std::string_view::npos ? word : file.rfind("-----BEGIN ", word);
  auto const end = word == std::string_view::npos ? word : file.find(kKeyWord, word + kKeyWord.size());
  if (begin == std::string_view::npos || end == std::string_view::npos) return file;
  return file.substr(begin, end + kKeyWord.size() - begin);
}

bool is_request_der(std::string_view file) {
  try {
    (void)sys::Csr::from_der(file);
    return true;
  } catch (Error const&) {
    return false;
  }
}

std::string wrong_pem(std::string_view file) {
  if (contains(file, kKeyWord) || contains(file, "-----BEGIN CERTIFICATE-----") ||
      contains(file, "-----BEGIN X509 CERTIFICATE-----") ||
      contains(file, "-----BEGIN TRUSTED CERTIFICATE-----")) {
    if (contains(file, "-----BEGIN OPENSSH PRIVATE KEY-----")) {
      return "it holds an SSH key; a push certificate's key is the one that its request was made with";
    }
    return "";
  }
  if (contains(file, "CERTIFICATE REQUEST-----")) {
    return "it holds a certificate request (CSR), no certificate; `pomona push-cert sign` makes of it what "
           "is "
           "uploaded at identity.apple.com/pushcert. Import what you get back there";
  }
  if (contains(file, "-----BEGIN PUBLIC KEY-----")) {
    return "it holds a public key; the private key is needed, the one that the request was made with";
  }
  if (contains(file, "-----BEGIN PKCS7-----")) {
    return "it is a PKCS#7 bundle; take the certificates out with `openssl pkcs7 -in FILE -print_certs -out "
           "push.pem` and import push.pem";
  }
  return "it is PEM, but holds neither a certificate nor a private key";
}

SecretBytes pass_phrase_of(NamedFile const& file, AskPassPhrase const& ask) { return ask(file.name); }

void add_pkcs12(NamedFile const& file, AskPassPhrase const& ask, PushFiles& found) {
  auto content = sys::read_pkcs12(file.bytes.view(), {});
  if (!content) content = sys::read_pkcs12(file.bytes.view(), pass_phrase_of(file, ask));
  if (!content) {
    refuse(file.name,
           "the pass phrase does not open this PKCS#12 file; it is the one that was typed when the file was "
           "exported");
  }
  if (!content->key) {
    refuse(
        file.name,
        "the PKCS#12 file holds certificates only; in Keychain, open the certificate's triangle and export "
        "certificate and private key together");
  }
  found.certs.insert(found.certs.end(), content->certs.begin(), content->certs.end());
  found.keys.push_back(*content->key);
}

void add_key(NamedFile const& file, std::string_view block, AskPassPhrase const& ask, PushFiles& found) {
  if (contains(block, "DEK-Info: DES-CBC,")) {
    refuse(file.name,
           "the key is sealed with single DES, which is not read; seal it better with `openssl rsa -in KEY "
           "-aes256 "
           "-provider legacy -provider default -out better.key` and import that");
  }
  SecretBytes const phrase = sys::Key::is_encrypted(block) ? pass_phrase_of(file, ask) : SecretBytes();
  try {
    found.keys.push_back(sys::Key::read_private(block, phrase));
  } catch (Error const& error) {
    refuse(file.name, error.what());
  }
}

void add_der(NamedFile const& file, AskPassPhrase const& ask, PushFiles& found) {
  std::optional<sys::Cert> cert;
  try {
    cert = sys::Cert::from_der(file.bytes.view());
  } catch (Error const&) {
    cert = std::nullopt;
  }
  if (cert) {
    found.certs.push_back(*cert);
  } else if (sys::Key::is_encrypted(file.bytes.view())) {
    add_key(file, file.bytes.view(), ask, found);
  } else {
    try {
      found.keys.push_back(sys::Key::read_private(file.bytes.view()));
    } catch (Error const&) {
      refuse(file.name, "neither PEM nor DER of a certificate or a private key, and no PKCS#12 (.p12)");
    }
  }
}

void add_file(NamedFile const& file, AskPassPhrase const& ask, PushFiles& found) {
  auto const bytes = file.bytes.view();
  if (auto const wrong = wrong_file(bytes); !wrong.empty()) refuse(file.name, wrong);
  if (!contains(bytes, "-----BEGIN ")) {
    if (sys::looks_like_pkcs12(bytes)) return add_pkcs12(file, ask, found);
    return add_der(file, ask, found);
  }
  if (contains(bytes, "CERTIFICATE-----")) {
    try {
      auto const certs = sys::Cert::read_all(bytes);
      found.certs.insert(found.certs.end(), certs.begin(), certs.end());
    } catch (Error const& error) {
      refuse(file.name, error.what());
    }
  }
  if (contains(bytes, kKeyWord)) add_key(file, key_block(bytes), ask, found);
}

}  // namespace

std::string wrong_file(std::string_view file) {
  auto const text = sys::trim(file);
  if (text.empty()) return "the file is empty";
  auto const head = sys::to_lower(text.substr(0, 64));
  if (head.starts_with("<!doctype html") || head.starts_with("<html")) {
    return "it is a web page, not a certificate: the download failed or needs a login. Download it again";
  }
  if (proto::looks_like_push_request(text)) {
    return "it is a signed push certificate request; upload it at identity.apple.com/pushcert and import the "
           "certificate that you get back";
  }
  if (proto::looks_like_encrypted_request(file)) {
    return "it is the encrypted answer of mdmcert.download; `pomona push-cert mdmcert-decrypt FILE` makes of "
           "it "
           "what is uploaded at identity.apple.com/pushcert. Import what you get back there";
  }
  if (contains(file, "-----BEGIN ")) return wrong_pem(file);
  if (is_request_der(file)) {
    return "it is a certificate request (CSR), no certificate; `pomona push-cert sign` makes of it what is "
           "uploaded at identity.apple.com/pushcert. Import what you get back there";
  }
  return "";
}

PushFiles read_push_files(std::vector<NamedFile> const& files, AskPassPhrase const& ask) {
  PushFiles found;
  for (auto const& file : files) add_file(file, ask, found);
  if (found.certs.empty()) {
    throw Error(
        Fault::bad_request,
        "import push certificate: a private key and no certificate; name the file that Apple's portal "
        "gave you (MDM_..._Certificate.pem) too");
  }
  return found;
}

}  // namespace service
