// Inside of sys/fcgi: one accepted connection of a web server. Others include sys/fcgi.hpp.
#pragma once

#include "sys/fcgi.hpp"

namespace sys {

// Reads one request in FastCGI's records, answers it and closes `fd`, also when what comes is no FastCGI or
// ends too early: then nobody is left to be told. FCGX_Init was called.
void serve_connection(int fd, ServeOptions const& options, Handler const& handler);

}  // namespace sys
