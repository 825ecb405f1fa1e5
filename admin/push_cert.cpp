// `pomona push-cert`: the certificates by which APNs knows this server.
#include "service/push_cert.hpp"

#include "nouns.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

using service::PushCertificate;
using store::CertStatus;

std::string devices_text(std::int64_t count) {
  return std::to_string(count) + (count == 1 ? " device" : " devices");
}

int run_import(Context& context) {
  auto const& files = context.arguments();
  auto const file = sys::read_secret_file(files.at(0));
  std::optional<sys::SecretBytes> key_file;
  if (files.size() > 1) key_file = sys::read_secret_file(files.at(1));
  auto const pair = service::read_push_pair(file.view(), key_file, context.now());
  auto const done = service::import_push_certificate(context.db(), context.key("push"), pair,
                                                     context.has("new-topic"), context.who(), context.now());
  context.out().value(Object{{"topic", done.topic},
                             {"sha256", sys::hex(done.sha256)},
                             {"not_after", done.not_after},
                             {"changed", !done.unchanged},
                             {"renewed", done.replaced.has_value()},
                             {"devices", done.devices},
                             {"warnings", List(done.warnings.begin(), done.warnings.end())}});
  if (done.unchanged) {
    context.out().line("This certificate is the active one of " + done.topic + " already; nothing changed.");
    return 0;
  }
  context.out().line(done.topic + (done.replaced ? ": renewed" : ": imported") + ", good until " +
                     sys::certbot_time(done.not_after) + ", serves " + devices_text(done.devices) +
                     ". pomona-push uses it from its next round.");
  for (auto const& warning : done.warnings) context.out().line("Warning: " + warning);
  return 0;
}

// What running out means, and what to do; nothing while most of its life is ahead.
std::string next_step(PushCertificate const& certificate, sys::Time now) {
  auto const& row = certificate.row;
  if (row.status != CertStatus::active) return "";
  auto const life = row.not_after - row.not_before;
  if (row.not_after < now) {
    return devices_text(certificate.devices) +
           " cannot be woken; renew it at identity.apple.com (Renew, not Create, same Apple ID), then "
           "`pomona "
           "push-cert import`";
  }
  if (row.not_after - now < life / 10) {
    return "renew it at identity.apple.com (Renew, not Create, same Apple ID), then `pomona push-cert "
           "import`; once expired, " +
           devices_text(certificate.devices) + " cannot be woken";
  }
  return "";
}

CertificateBlock block_of(PushCertificate const& certificate, sys::Time now, bool all) {
  auto const& row = certificate.row;
  CertificateBlock block{"Push certificate " + row.topic.value_or("?"), {}, row.not_before, row.not_after};
  block.fields = {{"topic", "", row.topic},
                  {"status", "Status", store::cert_status_name(row.status)},
                  {"serial", "Serial Number", sys::hex(row.serial)}};
  // In JSON always; as text only where all is asked for.
  auto const add = [&](char const* key, char const* title, Value value) {
    block.fields.push_back({key, all ? title : "", std::move(value)});
  };
  add("subject", "Subject", row.subject);
  add("issuer", "Issuer", row.issuer);
  add("sha256", "SHA-256", sys::hex(row.sha256.value_or("")));
  add("imported_at", "Imported", row.created_at);
  block.notes = {{"devices", "Enrolled Devices", certificate.devices}};
  std::string const next = next_step(certificate, now);
  if (!next.empty()) block.notes.push_back({"next_step", "Next Step", next});
  return block;
}

int run_list(Context& context) {
  std::vector<CertificateBlock> blocks;
  for (auto const& certificate : service::list_push_certificates(context.db(), std::nullopt)) {
    blocks.push_back(block_of(certificate, context.now(), false));
  }
  context.out().certificates(
      blocks, "No push certificate. Get one at identity.apple.com and `pomona push-cert import CERT KEY`.",
      context.now());
  return 0;
}

int run_show(Context& context) {
  std::optional<std::string> topic;
  if (!context.arguments().empty()) topic = context.arguments().front();
  std::vector<CertificateBlock> blocks;
  for (auto const& certificate : service::list_push_certificates(context.db(), topic)) {
    if (!topic && certificate.row.status != CertStatus::active) continue;
    blocks.push_back(block_of(certificate, context.now(), true));
  }
  if (blocks.empty()) {
    throw sys::Error(sys::Fault::not_found,
                     topic ? "no push certificate of topic " + sys::escape_controls(*topic) +
                                 "; `pomona push-cert list` lists them"
                           : std::string("no active push certificate; `pomona push-cert "
                                         "import` makes one so"));
  }
  context.out().certificates(blocks, "", context.now());
  return 0;
}

}  // namespace

Noun push_cert_noun() {
  Verb import{"import", "take in a push certificate with its key", "FILE [KEYFILE]", 1, 2, {}, run_import};
  import.options = {{"new-topic", "it is meant for another topic than that of the enrolled devices", "", ""}};
  import.details =
      "PEM: the certificate and its key in one file or in two. It takes the place of the active certificate "
      "of "
      "the same\ntopic, which is kept; pomona-push uses it from its next round. A certificate of another "
      "topic "
      "is refused while devices\nare enrolled: they accept pushes of their own topic only.";
  Verb list{"list",  "list the push certificates, the active ones and those they replaced", "", 0, 0, {},
            run_list};
  Verb show{"show", "show the active push certificates, or all of a topic", "[TOPIC]", 0, 1, {}, run_show};
  return {
      "push-cert", "the certificates by which Apple's push service knows this server", {import, list, show}};
}

}  // namespace admin
