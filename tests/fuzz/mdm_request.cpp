// Up to four requests to pomona-mdm, one after the other, as sys/fcgi hands them on: through address, method,
// credentials, message and database to the answer. Whatever a sender does is answered 200 or 4xx, and the log
// line holds no secret. Each input finds the database as tests/rig/fuzz_world.py made it.
#include <string>
#include <variant>

#include "handlers/mdm.hpp"
#include "proto/checkin.hpp"
#include "shared/build_plist.hpp"
#include "shared/input.hpp"
#include "shared/world.hpp"
#include "sys/error.hpp"
#include "sys/plist.hpp"
#include "sys/text.hpp"

namespace {

using fuzz::demand;

struct Server {
  fuzz::World world{"pomona-mdm"};
  service::MdmKeys keys{sys::KeyRing::from_file(world.config().key_dir, "escrow"),
                        sys::KeyRing::from_file(world.config().key_dir, "message")};
  handlers::MdmHandler handler{world.config(), keys};
  std::vector<std::string> certificates;  // as nginx hands them over

  Server() {
    for (auto const& identity : world.identities())
      certificates.push_back(sys::percent_encode(identity.cert.pem()));
  }
};

Server& server() {
  static Server ours;
  return ours;
}

// What nginx says of the client certificate, and the header of a device.
void prove(fuzz::Input& input, sys::Request& request) {
  auto const kind = input.byte() % 8;
  std::size_t const who = input.byte() % server().certificates.size();
  auto& params = request.params;
  params["SSL_CLIENT_VERIFY"] = "NONE";
  params["SSL_CLIENT_CERT"] = "";
  switch (kind) {
    case 0:
      return;
    case 1:
      params["SSL_CLIENT_VERIFY"] = "FAILED:certificate has expired";
      params["SSL_CLIENT_CERT"] = server().certificates[who];
      return;
    case 2:
    case 3:
      params["HTTP_MDM_SIGNATURE"] =
          sys::base64(fuzz::sign_detached(request.body, server().world.identities()[who], kind == 2));
      return;
    case 4:
      params["SSL_CLIENT_VERIFY"] = input.text();
      params["SSL_CLIENT_CERT"] = input.text();
      params["HTTP_MDM_SIGNATURE"] = input.text();
      return;
    default:
      params["SSL_CLIENT_VERIFY"] = "SUCCESS";
      params["SSL_CLIENT_CERT"] = server().certificates[who];
  }
}

sys::Request read_request(fuzz::Input& input) {
  sys::Request request;
  auto& params = request.params;
  auto const odd = input.byte();  // one bit per thing that is not as devices send it
  bool const check_in = input.byte() % 2 == 0;
  params["REMOTE_ADDR"] = "192.0.2.1";
  params["REQUEST_METHOD"] = (odd & 1U) == 0 ? std::string_view("PUT") : input.text();
  params["DOCUMENT_URI"] = (odd & 2U) == 0 ? std::string_view("/mdm") : input.text();
  params["CONTENT_TYPE"] =
      check_in ? "application/x-apple-aspen-mdm-checkin" : "application/x-apple-aspen-mdm";
  if ((odd & 4U) != 0) params["CONTENT_TYPE"] = input.text();
  if ((odd & 8U) != 0) {
    for (unsigned count = input.byte() % 8U; count > 0; --count) {
      std::string const name(input.text());
      params[name] = input.text();
    }
  }
  request.body = (odd & 16U) == 0 ? fuzz::build_plist(input) : std::string(input.text());
  prove(input, request);
  return request;
}

// What a device entrusts, unless it also stands where the log may name it.
void check_secrets(sys::Request const& request, sys::LogLine const& line) {
  try {
    auto const checkin = proto::decode_checkin(request.body, server().world.config().message_limit);
    auto const named = checkin.ids.external() + ' ' + checkin.type;
    auto const check = [&](std::string_view secret) {
      if (named.find(secret) == std::string::npos) fuzz::check_secret(line, secret);
    };
    if (auto const* update = std::get_if<proto::TokenUpdate>(&checkin.message)) {
      check(update->push_magic);
      check(update->token);
      check(sys::hex(update->token));
      check(sys::base64(update->token));
    }
  } catch (sys::Error const&) {
    return;
  }
}

void check_body(sys::Response const& response) {
  if (response.status != 200 || response.body.empty()) return;
  demand(response.content_type.starts_with("application/"));
  if (response.content_type.find("xml") != std::string::npos) (void)sys::read_plist(response.body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  fuzz::Input input(data, size);
  constexpr int kMostRequests = 4;
  for (int count = 0; count < kMostRequests && !input.empty(); ++count) {
    auto const request = read_request(input);
    sys::LogLine line("mdm");
    auto const response = server().handler.answer(request, line);
    fuzz::check_answer(response, request.method(), line);
    check_secrets(request, line);
    check_body(response);
  }
  server().world.restore();
  return 0;
}
