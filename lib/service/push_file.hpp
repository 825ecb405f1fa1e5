// The files that an admin brings for a push or vendor certificate, in any form that portals, browsers,
// Keychain and openssl write: PEM, DER, PKCS#12, keys as PKCS#1, PKCS#8, SEC1, with a pass phrase or without,
// in one file or two, in any order.
//
// Files come from an admin and are read as untrusted all the same. Errors: Error{bad_request} that says which
// wrong file it is and what to do with it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/bytes.hpp"
#include "sys/x509.hpp"

namespace service {

struct NamedFile {
  std::string name;  // for messages
  sys::SecretBytes bytes;
};

// Called only for what is locked, with its file's name; throws where there is nobody to ask.
using AskPassPhrase = std::function<sys::SecretBytes(std::string const& name)>;

struct PushFiles {
  std::vector<sys::Cert> certs;  // in the order they were found; never empty
  std::vector<sys::Key> keys;
};
PushFiles read_push_files(std::vector<NamedFile> const& files, AskPassPhrase const& ask);

// What a file is that is neither certificate nor key, in words with the next step; "" when it may be one.
// Pure; at most a few hundred KiB are looked at.
std::string wrong_file(std::string_view file);

}  // namespace service
