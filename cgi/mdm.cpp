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
#include "service/mdm.hpp"

#include <chrono>
#include <memory>

#include "service/program.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"
#include "sys/fcgi.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace {

using sys::Fault;

constexpr std::size_t kBodyLimit = 64U << 20U;  // nginx's client_max_body_size for these locations
constexpr std::string_view kCheckIn = "application/x-apple-aspen-mdm-checkin";

// Only what the sender did is answered 400. The rest is ours, also what the database calls a conflict or a
// missing grant: a 5xx lets the device keep its message and come again.
int status_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::bad_request:
    case Fault::unauthenticated:
      return 400;
    case Fault::unavailable:
      return 503;
    default:
      return 500;
  }
}

sys::Response error_answer(int status) {
  sys::Response response = sys::plain_error(status);
  if (status == 503) response.headers["Retry-After"] = "60";
  if (status == 405) response.headers["Allow"] = "PUT, POST";
  return response;
}

sys::Response answer_of(service::MdmAnswer const& answer) {
  if (answer.user_declined) return error_answer(410);
  sys::Response response;
  if (!answer.plist.empty()) response.content_type = "application/xml; charset=UTF-8";
  response.body = answer.plist;
  return response;
}

// 0: the request is one for us.
int wrong_address(sys::Request const& request) {
  auto const path = request.path();
  if (path != "/mdm" && path != "/mdm/checkin" && path != "/mdm/connect" && path != "/checkin") return 404;
  if (request.method() != "PUT" && request.method() != "POST") return 405;
  return 0;
}

class MdmHandler {
 public:
  MdmHandler(service::Config const& config, service::MdmKeys const& keys)
      : config_(config), keys_(keys), db_(service::open_database(config)) {}

  sys::Response operator()(sys::Request const& request) {
    auto const began = std::chrono::steady_clock::now();
    auto const trips = db_.round_trips();
    service::MdmTrace trace;
    std::string error;
    sys::Response response = answer(request, trace, error);
    sys::LogLine line("mdm");
    line.add("status", response.status).add("remote", request.remote());
    auto const add = [&](char const* key, std::string const& value) {
      if (!value.empty()) line.add(key, value);
    };
    add("id", trace.id);
    add("message", trace.message);
    add("command_uuid", trace.command_uuid);
    add("outcome", trace.outcome);
    add("handed_out", trace.handed_out);
    add("certificate", trace.certificate);
    add("error", error);
    auto const took = std::chrono::steady_clock::now() - began;
    line.add("sql", static_cast<long long>(db_.round_trips() - trips));
    line.add("us",
             static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
    line.write();
    return response;
  }

 private:
  sys::Response answer(sys::Request const& request, service::MdmTrace& trace, std::string& error) {
    if (int const status = wrong_address(request); status != 0) {
      error = "no device sends this";
      return error_answer(status);
    }
    try {
      if (!schema_checked_) store::check_schema(db_);
      schema_checked_ = true;
      service::MdmContext context{db_, config_, keys_, sys::current_time(), trace};
      service::Credentials const credentials{request.param("SSL_CLIENT_VERIFY"),
                                             request.param("SSL_CLIENT_CERT"),
                                             request.param("HTTP_MDM_SIGNATURE")};
      bool const check_in = request.content_type().starts_with(kCheckIn);
      return answer_of(service::handle_mdm(context, {check_in, request.body, credentials}));
    } catch (sys::Error const& failure) {
      error = std::string(sys::fault_name(failure.fault())) + ": " + failure.what();
      return error_answer(status_of(failure.fault()));
    }
  }

  service::Config const& config_;
  service::MdmKeys const& keys_;
  sys::Db db_;
  bool schema_checked_ = false;
};

int run(service::Config const& config) {
  service::MdmKeys const keys{sys::SealKey::from_file(config.key_dir, "escrow"),
                              sys::SealKey::from_file(config.key_dir, "message")};
  sys::ServeOptions options;
  options.socket_path = config.socket;
  options.threads = config.threads;
  options.body_limit = kBodyLimit;
  options.gate = sys::read_secret_file(config.gate_file);
  return sys::serve(options, [&]() -> sys::Handler {
    auto const handler = std::make_shared<MdmHandler>(config, keys);
    return [handler](sys::Request const& request) { return (*handler)(request); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  return service::run_program(
      {"pomona-mdm", "check-ins and command reports of enrolled devices"}, argc, argv,
      [](service::Config const& config, sys::ParsedOptions const&) { return run(config); });
}
