// `pomona push-cert list` and `show`.
#include "push_cert.hpp"
#include "service/cert_words.hpp"
#include "service/expiry.hpp"
#include "service/push_cert.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

using service::PushCertificate;
using store::CertStatus;

// As the inventory says it; nothing while most of its life is ahead.
std::string next_step(PushCertificate const& certificate, sys::Time now) {
  auto const& row = certificate.row;
  if (row.status != CertStatus::active) return "";
  if (service::judge_expiry(row.not_before, row.not_after, now) == service::Expiry::good) return "";
  auto const words = service::cert_words("push");
  return std::string(words.next_step) +
         "; when it expires: " + service::fill_devices(words.consequence, certificate.devices);
}

// The account is what must not be forgotten: another one cannot renew the topic.
std::string with_account(std::string text, PushCertificate const& certificate) {
  if (!text.empty() && certificate.note.apple_id) {
    text += "; the Apple ID is " + sys::escape_controls(*certificate.note.apple_id);
  }
  return text;
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
  auto const note = [&](char const* key, char const* title, std::optional<std::string> const& text) {
    block.notes.push_back({key, text ? title : "", text});
  };
  note("apple_id", "Apple ID", certificate.note.apple_id);
  note("note", "Note", certificate.note.note);
  std::string const next = with_account(next_step(certificate, now), certificate);
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

std::vector<Verb> push_cert_show_verbs() {
  return {
      {"list", "list the push certificates, the active ones and those they replaced", "", 0, 0, {}, run_list},
      {"show", "show the active push certificates, or all of a topic", "[TOPIC]", 0, 1, {}, run_show}};
}

}  // namespace admin
