// FastCGI (libfcgi) and plain CGI around one handler function.
//
// serve() answers until SIGTERM or SIGINT, finishes what is in flight and returns. Every thread has one
// request at a time; a connection is closed after its request, whatever the web server asks for. A body is
// read whole, bounded by `body_limit`, and compared with CONTENT_LENGTH: a short read is answered 400 and
// never reaches the handler; too large a body 413; more than 256 parameters or 512 KiB of them 400. One
// exception that escapes a handler is answered 500 and logged. It trusts the web server for the parameters,
// and the web server only where the gate secret matches (checked here: a request whose POMONA_GATE parameter
// differs is answered 403, and the handler never sees the secret).
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
  // Decoded path of the request without the query (DOCUMENT_URI; serve() fills it from SCRIPT_NAME and
  // PATH_INFO where the web server does not give it).
  [[nodiscard]] std::string_view path() const;
  [[nodiscard]] std::string_view remote() const { return param("REMOTE_ADDR"); }
  [[nodiscard]] bool https() const { return !param("HTTPS").empty(); }
};

struct Response {
  int status = 200;
  std::string content_type;  // empty: no such header
  std::string body;
  std::map<std::string, std::string> headers;  // further ones; values with control characters become a 500
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

// Returns the exit code: 0 after SIGTERM or the one CGI request, 1 when `make_handler` threw, 2 (told on
// stderr) when no socket was given in any form. Throws Error when the socket cannot be had. Once in a
// process: SIGTERM, SIGINT and SIGPIPE stay blocked or ignored. The socket it binds has mode 0660 and
// replaces a dead process's file.
int serve(ServeOptions const& options, MakeHandler const& make_handler);

// The bytes after the header block terminator are the body; used by serve and by tests. HEAD gets the headers
// alone. Throws Error{internal} for a status or a header that HTTP forbids.
std::string encode_response(Response const& response, std::string_view method);

}  // namespace sys
