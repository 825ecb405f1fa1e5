// pomona-scep: SCEP (RFC 8894) as a FastCGI handler; the only network program that holds the device CA's
// keys.
//
// SECURITY. Every request comes from a stranger, also over plain HTTP, and this program signs certificates:
// the most valuable key of the server is in its memory. So it does one thing, and nothing else is in its
// process. Parameters are trusted from nginx alone (gate secret); client certificates are ignored. A request
// is at most 64 KiB and gets a certificate only if its challenge names a ticket, after floors of algorithms,
// outer signature, decryption and the request's own signature held; what fails before that is answered in one
// way. The certificate's content is decided here, only the public key is the sender's. It runs as pomona-scep
// and may open its configuration, the gate file and ca.key; in the database it reads and updates tickets,
// device certificates and nothing of the devices' data, reads sealed secrets of domain ca and adds events. It
// leaves no core file. Challenges are never logged. Never 401: devices take that as an order to forget the
// server.
#include "service/scep.hpp"

#include <memory>

#include "service/program.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"
#include "sys/fcgi.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"
#include "sys/text.hpp"

namespace {

using service::Config;
using sys::Request;
using sys::Response;

constexpr std::size_t kBodyLimit = 64U << 10U;

int status_of(sys::Fault fault) {
  switch (fault) {
    case sys::Fault::bad_request:
      return 400;
    case sys::Fault::unauthenticated:
    case sys::Fault::forbidden:
      return 403;
    case sys::Fault::not_found:
      return 404;
    case sys::Fault::conflict:
    case sys::Fault::unavailable:
      return 503;
    case sys::Fault::upstream:
      return 502;
    case sys::Fault::internal:
      break;
  }
  return 500;
}

// One per thread.
struct Handling {
  Config const& config;
  sys::Db db;
  service::CaKeys keys;
  bool schema_checked = false;

  void check_schema() {
    if (!schema_checked) store::check_schema(db);
    schema_checked = true;
  }
};

void describe(service::ScepAnswer const& answer, sys::LogLine& line) {
  if (!answer.transaction_id.empty()) line.add("transaction", answer.transaction_id);
  line.add("outcome", answer.outcome);
  if (!answer.fail_info.empty()) line.add("fail_info", answer.fail_info);
  if (!answer.reason.empty()) line.add("reason", answer.reason);
  if (answer.ticket_id) line.add("ticket", *answer.ticket_id);
  if (answer.cert)
    line.add("serial", sys::hex(answer.cert->serial())).add("sha256", sys::hex(answer.cert->sha256()));
}

Response answer(Handling& handling, Request const& request, sys::LogLine& line) {
  auto const asked = proto::decode_scep_request(request.method(), request.query(), request.body);
  line.add("operation", proto::scep_operation_name(asked.operation));
  handling.check_schema();
  constexpr std::size_t kLongestAddress = 64;
  std::string const requester(request.remote().substr(0, kLongestAddress));
  auto result = service::answer_scep(handling.db, handling.config, handling.keys, asked, requester,
                                     sys::current_time());
  describe(result, line);
  Response response;
  response.content_type = std::move(result.content_type);
  response.body = std::move(result.body);
  return response;
}

Response handle(Handling& handling, Request const& request) {
  sys::LogLine line("scep");
  line.add("remote", request.remote()).add("method", request.method());
  Response response;
  try {
    response = answer(handling, request, line);
  } catch (sys::Error const& error) {
    response = sys::plain_error(status_of(error.fault()));
    line.add("fault", sys::fault_name(error.fault())).add("error", error.what());
  }
  line.add("status", response.status).write();
  return response;
}

// A server that is not ready yet (no database, no CA) answers 503 until it is; that is no reason to end.
void prepare(Handling& handling) {
  try {
    handling.check_schema();
    service::warm_up_scep(handling.db, handling.keys, sys::current_time());
  } catch (sys::Error const& error) {
    if (error.fault() != sys::Fault::unavailable) throw;
    sys::LogLine("scep").add("outcome", "not-ready").add("error", error.what()).write();
  }
}

int serve(Config const& config) {
  sys::ServeOptions options;
  options.socket_path = config.socket;
  options.threads = config.threads;
  options.body_limit = kBodyLimit;
  options.gate = sys::read_secret_file(config.gate_file);
  auto const domain = sys::SealKey::from_file(config.key_dir, "ca");
  return sys::serve(options, [&config, &domain]() -> sys::Handler {
    auto handling =
        std::make_shared<Handling>(Handling{config, service::open_database(config), service::CaKeys(domain)});
    prepare(*handling);
    return [handling](Request const& request) { return handle(*handling, request); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  return service::run_program({"pomona-scep", "issues device identities by SCEP (FastCGI)"}, argc, argv,
                              [](Config const& config, sys::ParsedOptions const&) { return serve(config); });
}
