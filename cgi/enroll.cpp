// pomona-enroll: enrolment profiles and the public documents, as a FastCGI handler.
//
// SECURITY. Whoever reaches this program is a stranger: the only thing it believes is the secret of a ticket
// in the path, and, where open enrolment is on, it believes nothing at all and hands out a short-lived
// ticket. Parameters are trusted from nginx alone (gate secret). It runs as pomona-enroll and may open its
// configuration, the gate file and the public PEM of https-ca-file; in the database it reads and writes
// tickets and profiles, reads public halves of certificates and adds events. It holds no private key. The
// path is a secret: it is never logged here, only the ticket's number is, and refusals say nothing but their
// status. Never 401: devices take that as an order to forget the server.
#include "handlers/enroll.hpp"

#include <memory>

#include "service/program.hpp"

namespace {

using service::Config;

int serve(Config const& config) {
  return sys::serve(handlers::serve_options(config, handlers::kEnrollBodyLimit), [&config]() -> sys::Handler {
    auto const handler = std::make_shared<handlers::EnrollHandler>(config);
    handler->prepare();
    return [handler](sys::Request const& request) {
      sys::LogLine line("request");
      auto response = handler->answer(request, line);
      line.write();
      return response;
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  return service::run_program({"pomona-enroll", "hands out enrolment profiles (FastCGI)"}, argc, argv,
                              [](Config const& config, sys::ParsedOptions const&) { return serve(config); });
}
