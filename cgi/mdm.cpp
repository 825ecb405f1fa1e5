// pomona-mdm: check-ins and command reports of enrolled devices, under /mdm and /checkin.
//
// SECURITY. Everything in a request is hostile until its sender is known: body and headers are bounded,
// bodies pass the linear gate before libplist, and signatures are checked over the bytes as they came. The
// program trusts nginx for the outcome of the TLS handshake and the certificate (SSL_CLIENT_VERIFY,
// SSL_CLIENT_CERT), and believes that nginx is talking only where the gate secret matches. It holds two
// domain keys: escrow, to seal what devices entrust and hand it back to the same device, and message, to seal
// reports and open commands. It cannot read the CA's keys, push keys or DEP tokens: neither its key files nor
// its database user reach them. Privilege: Unix and database user pomona-mdm, a Unix socket, nothing else. It
// never answers 401: a device may unenrol on it.
#include "handlers/mdm.hpp"

#include <memory>

#include "service/program.hpp"

namespace {

int run(service::Config const& config) {
  service::MdmKeys const keys{sys::KeyRing::from_file(config.key_dir, "escrow"),
                              sys::KeyRing::from_file(config.key_dir, "message")};
  return sys::serve(handlers::serve_options(config, handlers::kMdmBodyLimit), [&]() -> sys::Handler {
    auto const handler = std::make_shared<handlers::MdmHandler>(config, keys);
    handler->prepare();
    return [handler](sys::Request const& request) {
      sys::LogLine line("mdm");
      auto response = handler->answer(request, line);
      line.write();
      return response;
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  return service::run_program(
      {"pomona-mdm", "check-ins and command reports of enrolled devices"}, argc, argv,
      [](service::Config const& config, sys::ParsedOptions const&) { return run(config); });
}
