// Inside of sys/fcgi: begin and parameters of one request, read before libfcgi sees them. Others include
// sys/fcgi.hpp.
//
// libfcgi reads as many parameters as a peer sends, of any length, for as long as bytes trickle in. Whoever
// can open the socket could fill the memory that way, long before the gate secret is looked at. Here the head
// is bounded in bytes and in time, and a peer that speaks otherwise than a web server does is dropped.
// Source: FastCGI 1.0, sections 3.3, 5.1 and 5.2.
#pragma once

#include <optional>
#include <string>

namespace sys {

// The records from BEGIN_REQUEST (a responder) to the empty PARAMS, as they came; nullopt for anything else,
// for more than 1 MiB and after ten seconds. What follows stays unread.
std::optional<std::string> read_head(int fd);

// What is there to be read without waiting.
enum class Waiting {
  other,    // not the whole head, or one that libfcgi would read otherwise than it is checked here
  head,     // a whole head, good by the same rules: libfcgi may read the connection itself
  request,  // and after it the whole body: a web server sends nothing more
};
// Looks without taking anything.
Waiting peek(int fd);

// Reads and forgets for at most two seconds, so that a peer that is still sending gets to read its answer.
void drain(int fd);

}  // namespace sys
