// What one device request is handled with: the database, the configuration, the keys of pomona-mdm, the time
// of the request, and what the log line will say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "service/config.hpp"
#include "sys/key_ring.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

struct MdmKeys {
  sys::KeyRing escrow;   // unlock and bootstrap tokens
  sys::KeyRing message;  // commands, reports, check-in bodies
};

// Filled in as far as the request came; nothing in it is secret.
struct MdmTrace {
  std::string id;            // external id
  std::string message;       // MessageType or Status
  std::string command_uuid;  // of the report
  std::string certificate;   // SHA-256 in hex
  std::string outcome;       // what was done
  std::string handed_out;    // CommandUUID of the command in the answer
};

struct MdmContext {
  sys::Db& db;
  Config const& config;
  MdmKeys const& keys;
  sys::Time now;
  MdmTrace& trace;
};

// As nginx passes them: $ssl_client_verify, $ssl_client_escaped_cert, the header Mdm-Signature.
struct Credentials {
  std::string_view verify;
  std::string_view certificate;
  std::string_view signature;
};

struct MdmRequest {
  bool check_in = false;  // by content type; else a report on the command channel
  std::string_view body;
  Credentials credentials;
};

struct MdmAnswer {
  bool user_declined = false;  // UserAuthenticate: this user is not managed
  std::string plist = {};      // empty: nothing to say
};

}  // namespace service
