// FastCGI (libfcgi) and plain CGI around one handler function.
//
// serve() answers until SIGTERM, finishes what is in flight and returns; the recipe for stopping threads is
// in docs/architecture.md. A body is read whole, bounded by `body_limit`, and compared with CONTENT_LENGTH: a
// short read is answered 400 and never reaches the handler; too large a body 413. One exception that escapes
// a handler is answered 500 and logged. It trusts the web server for the parameters, and the web server only
// where the gate secret matches (checked here: a request whose POMONA_GATE parameter differs is answered
// 403).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "sys/bytes.hpp"

namespace sys {

struct Request {
  std::map<std::string, std::string, std::less<>> params;  // FastCGI parameters, bounded in number and size
  std::string body;

  // The parameter, or "" when it is absent.
  [[nodiscard]] std::string_view param(std::string_view name) const;
  [[nodiscard]] std::string_view method() const { return param("REQUEST_METHOD"); }
  [[nodiscard]] std::string_view content_type() const { return param("CONTENT_TYPE"); }
  [[nodiscard]] std::string_view query() const { return param("QUERY_STRING"); }
  // Decoded path of the request without the query, as the client sent it (DOCUMENT_URI, else SCRIPT_NAME +
  // PATH_INFO).
  [[nodiscard]] std::string_view path() const;
  [[nodiscard]] std::string_view remote() const { return param("REMOTE_ADDR"); }
  [[nodiscard]] bool https() const { return !param("HTTPS").empty(); }
};

struct Response {
  int status = 200;
  std::string content_type;  // empty: no such header
  std::string body;
  std::map<std::string, std::string> headers;  // further ones; values with control characters are refused
};

// The reason phrase, which is also the body of an error answer: "Bad Request".
char const* reason_phrase(int status) noexcept;
Response plain_error(int status);

struct ServeOptions {
  std::string socket_path;  // empty: LISTEN_FDS, then fd 0 if it is a listening socket, then plain CGI if
                            // GATEWAY_INTERFACE is set
  int threads = 4;          // at least 1
  std::size_t body_limit = 1U << 20U;
  SecretBytes gate;  // empty: no gate is demanded (plain CGI, tests)
};

// A handler per thread: made once in each thread by `make_handler`, so that it can own a database connection.
using Handler = std::function<Response(Request const&)>;
using MakeHandler = std::function<Handler()>;

// Returns the exit code: 0 after SIGTERM or the one CGI request, 2 when no socket was given in any form.
int serve(ServeOptions const& options, MakeHandler const& make_handler);

// The bytes after the header block terminator are the body; used by serve and by tests.
std::string encode_response(Response const& response, std::string_view method);

}  // namespace sys
