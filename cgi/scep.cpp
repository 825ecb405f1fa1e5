// pomona-scep: SCEP (RFC 8894) as a FastCGI handler; the only network program that holds the device CA's
// keys.
//
// SECURITY. Every request comes from a stranger, also over plain HTTP, and this program signs certificates:
// the most valuable key of the server is in its memory. So it does one thing, and nothing else is in its
// process. Parameters are trusted from nginx alone (gate secret); client certificates are ignored. A request
// is at most 64 KiB and gets a certificate only if its challenge names a ticket, or, with scep-renewal, an
// identity that is in use signed it, after floors of algorithms, outer signature, decryption and the
// request's own signature held; what fails before that is answered in one way. The certificate's content is
// decided here, only the public key is the sender's. It runs as pomona-scep and may open its configuration,
// the gate file and ca.key; in the database it reads and updates tickets, device certificates and nothing of
// the devices' data, reads sealed secrets of domain ca and adds events. It leaves no core file. Challenges
// are never logged. Never 401: devices take that as an order to forget the server.
#include "handlers/scep.hpp"

#include <memory>

#include "service/program.hpp"
#include "sys/key_ring.hpp"

namespace {

using service::Config;

int serve(Config const& config) {
  auto const domain = sys::KeyRing::from_file(config.key_dir, "ca");
  return sys::serve(handlers::serve_options(config, handlers::kScepBodyLimit),
                    [&config, &domain]() -> sys::Handler {
                      auto const handler = std::make_shared<handlers::ScepHandler>(config, domain);
                      handler->prepare();
                      return [handler](sys::Request const& request) {
                        sys::LogLine line("scep");
                        auto response = handler->answer(request, line);
                        line.write();
                        return response;
                      };
                    });
}

}  // namespace

int main(int argc, char** argv) {
  return service::run_program({"pomona-scep", "issues device identities by SCEP (FastCGI)"}, argc, argv,
                              [](Config const& config, sys::ParsedOptions const&) { return serve(config); });
}
