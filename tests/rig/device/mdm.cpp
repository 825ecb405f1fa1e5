#include "mdm.hpp"

#include "bytes.hpp"

namespace device {
namespace {

// Ends management as Apple's client would, so that a server which answers so by mistake is found out.
void obey_removal(const Reply& reply, Device& device) {
  const bool unrecognized =
      reply.status == 403 && reply.body.find("com.apple.unrecognized.device") != std::string::npos;
  if (reply.status != 401 && !unrecognized) return;
  device.enrolled = false;
  device.save();
  throw Error(reply_summary(reply) +
              ": a real device now removes its MDM profile; this one is no longer enrolled");
}

Reply put(Http& http, Device& device, const std::string& url, Request request) {
  request.method = "PUT";
  request.url = url;
  request.user_agent = "MDM/1.0";
  if (device.mdm.sign_message)
    request.headers.push_back(
        "Mdm-Signature: " +
        base64(mdm_signature(device.speaking(), request.body, device.signature_form, device.clock_skew)));
  http.trust(device.trust());
  http.identity(device.client_certificate ? &device.speaking() : nullptr);
  Reply reply = http.perform(request);
  obey_removal(reply, device);
  return reply;
}

}  // namespace

Http connect(const Device& device, Samples* samples) { return Http(device.trust(), samples); }

Reply check_in(Http& http, Device& device, const std::string& body) {
  return put(http, device, device.mdm.checkin_url,
             {"checkin", "", "", "", body, {"Content-Type: application/x-apple-aspen-mdm-checkin"}});
}

Reply tell_status(Http& http, Device& device, const std::string& body, const std::string& phase) {
  return put(http, device, device.mdm.server_url,
             {phase, "", "", "", body, {"Content-Type: application/x-apple-aspen-mdm; charset=UTF-8"}});
}

Reply must_check_in(Http& http, Device& device, const Dict& message) {
  Reply reply = check_in(http, device, to_xml(message));
  if (!reply.ok())
    throw Error("the server refused " + message.string("MessageType").value_or("a message") + ": " +
                reply_summary(reply));
  return reply;
}

std::string reply_summary(const Reply& reply) {
  std::string text = "HTTP " + std::to_string(reply.status);
  const std::string first = reply.body.substr(0, reply.body.find('\n')).substr(0, 120);
  const bool readable = !first.empty() && first[0] != '<' && reply.content_type.starts_with("text/plain");
  return readable ? text + ", \"" + first + '"' : text;
}

}  // namespace device
