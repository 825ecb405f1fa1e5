// `pomona push-cert`: the certificates by which APNs knows this server.
#include "push_cert.hpp"

#include <algorithm>
#include <iostream>
#include <iterator>

#include <unistd.h>

#include "service/cert_words.hpp"
#include "service/push_cert.hpp"
#include "service/push_staging.hpp"
#include "service/push_vendor.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

constexpr std::size_t kLargestFile = 1U << 20U;

std::vector<service::NamedFile> read_arguments(Context& context) {
  std::vector<service::NamedFile> files;
  for (auto const& name : context.arguments()) {
    files.push_back({name, sys::SecretBytes(sys::read_file(name, kLargestFile))});
  }
  return files;
}

// The count is typed by a person who sees what it means, or named by a script that knows it.
std::optional<std::int64_t> confirmed_count(Context& context, std::string const& old) {
  constexpr std::int64_t kMost = 1'000'000'000;
  if (auto const given = context.number("confirm", 0, kMost)) return given;
  std::int64_t const lost = service::devices_of_topic(context.db(), old);
  if (lost == 0 || ::isatty(STDIN_FILENO) == 0) return std::nullopt;
  std::cerr
      << "Topic " << old << " has " << service::devices_text(lost)
      << " enrolled. None of them can be woken any more once it is given up: each must be enrolled again by "
         "hand.\nType the number of devices that will be lost to go on: "
      << std::flush;
  std::string typed;
  std::getline(std::cin, typed);
  return sys::parse_integer(sys::trim(typed)).value_or(-1);
}

service::TopicChoice topic_choice(Context& context) {
  service::TopicChoice choice;
  choice.new_topic = context.has("new-topic");
  if (choice.new_topic && context.has("replace-topic")) {
    context.usage(
        "--new-topic is for a topic beside the others, --replace-topic for one in place of another; "
        "only one of them can be meant");
  }
  if (!context.has("replace-topic")) {
    if (context.has("confirm")) context.usage("--confirm belongs to --replace-topic");
    return choice;
  }
  choice.replace = context.option("replace-topic");
  choice.confirmed = confirmed_count(context, *choice.replace);
  return choice;
}

store::PushTopicNote topic_note(Context& context) {
  constexpr std::size_t kLongestId = 255;
  constexpr std::size_t kLongestNote = 1000;
  store::PushTopicNote note;
  auto const take = [&](char const* key, std::size_t longest) -> std::optional<std::string> {
    if (!context.has(key)) return std::nullopt;
    auto text = context.option(key);
    if (text.size() > longest || !sys::is_utf8(text)) {
      context.usage(std::string("--") + key + ": at most " + std::to_string(longest) + " bytes of UTF-8");
    }
    return text;
  };
  note.apple_id = take("apple-id", kLongestId);
  note.note = take("note", kLongestNote);
  return note;
}

void print_import(Context& context, service::PushImport const& done) {
  context.out().value(Object{{"kind", "push"},
                             {"topic", done.topic},
                             {"sha256", sys::hex(done.sha256)},
                             {"not_after", done.not_after},
                             {"changed", !done.unchanged},
                             {"renewed", done.replaced.has_value()},
                             {"devices", done.devices},
                             {"devices_lost", done.lost},
                             {"warnings", List(done.warnings.begin(), done.warnings.end())}});
  if (done.unchanged) {
    context.out().line("This certificate is the active one of " + done.topic + " already; nothing changed.");
    return;
  }
  context.out().line(done.topic + (done.replaced ? ": renewed" : ": imported") + ", good until " +
                     sys::certbot_time(done.not_after) + ", serves " + service::devices_text(done.devices) +
                     ". pomona-push uses it from its next round.");
  if (done.replaced) {
    context.out().line("The one before is kept; `pomona push-cert rollback " + done.topic +
                       "` goes back to it.");
  }
  if (done.lost > 0)
    context.out().line(service::devices_text(done.lost) + " of the topic given up are lost.");
  if (context.has("replace-topic")) {
    context.out().line("`pomona push-cert rollback " + context.option("replace-topic") +
                       "` brings that topic's certificate back, beside this one.");
  }
  for (auto const& warning : done.warnings) context.out().line("Warning: " + warning);
}

// The certificate itself says what it is, whatever its request was meant for; where it says nothing, its
// request does. A vendor certificate whose key is nowhere is told of as for any other.
bool is_vendor_import(service::PushFiles const& files, sys::Cert const& leaf,
                      std::optional<service::StagedKey> const& staged) {
  if (service::topic_of(leaf)) return false;
  if (!service::is_vendor_certificate(leaf)) return staged && staged->kind == service::StagedKind::vendor;
  auto const own = leaf.public_key();
  return staged || std::any_of(files.keys.begin(), files.keys.end(),
                               [&](sys::Key const& key) { return own.same_public_key(key); });
}

int import_vendor(Context& context, service::KeyedCert const& vendor) {
  auto const done = service::import_vendor_certificate(context.db(), context.key("push"), vendor,
                                                       context.who(), context.now());
  auto const name = vendor.cert.subject();
  context.out().value(Object{{"kind", "vendor"},
                             {"subject", name},
                             {"sha256", sys::hex(done.sha256)},
                             {"not_after", vendor.cert.not_after()},
                             {"changed", !done.unchanged},
                             {"renewed", done.replaced.has_value()}});
  context.out().line("MDM vendor certificate " + sys::escape_controls(name) +
                     (done.unchanged
                          ? " is the active one already; nothing changed."
                          : ", good until " + sys::certbot_time(vendor.cert.not_after()) +
                                ", signs from now on. Next: `pomona push-cert request --out push.csr`, then "
                                "`pomona push-cert sign push.csr`."));
  return 0;
}

int run_import(Context& context) {
  auto const files = service::read_push_files(
      read_arguments(context), [&](std::string const& name) { return ask_pass_phrase(context, name); });
  auto const leaf = service::push_leaf(files);
  auto const staged = service::find_staged_key(context.db(), context.key("push"), leaf);
  auto const staged_key = staged ? std::optional(staged->key) : std::nullopt;
  if (is_vendor_import(files, leaf, staged)) {
    for (auto const* option : {"apple-id", "note", "new-topic", "replace-topic", "confirm"})
      if (context.has(option))
        context.usage(std::string("--") + option + ": this is an MDM vendor certificate, which has no topic");
    return import_vendor(context, service::pair_with_key(files, leaf, staged_key, context.now()));
  }
  auto const pair = service::check_push_pair(files, leaf, staged_key, context.now());
  auto const note = topic_note(context);
  auto const choice = topic_choice(context);
  print_import(context, service::import_push_certificate(context.db(), context.key("push"), pair, choice,
                                                         note, context.who(), context.now()));
  return 0;
}

int run_rollback(Context& context) {
  std::optional<std::string> topic;
  if (!context.arguments().empty()) topic = context.arguments().front();
  auto const done = service::roll_back_push_certificate(context.db(), context.key("push"), topic,
                                                        context.who(), context.now());
  auto const& active = done.now_active;
  std::string const name = active.topic.value_or("");
  context.out().value(
      Object{{"topic", name},
             {"sha256", sys::hex(active.sha256.value_or(""))},
             {"not_after", active.not_after},
             {"set_aside", done.set_aside ? Value(sys::hex(done.set_aside->sha256.value_or(""))) : Value()},
             {"devices", done.devices}});
  context.out().line(name + ": the certificate before is active again (serial " + sys::hex(active.serial) +
                     "), good until " + sys::certbot_time(active.not_after) + ", serves " +
                     service::devices_text(done.devices) + ". pomona-push uses it from its next round.");
  if (done.set_aside) {
    context.out().line("The other one (serial " + sys::hex(done.set_aside->serial) +
                       ") is kept; a second rollback goes back to it.");
  }
  return 0;
}

}  // namespace

std::vector<Verb> push_cert_import_verbs() {
  Verb import{"import", "take in a push certificate with its key", "FILE [FILE]", 1, 2, {}, run_import};
  import.options = {
      password_file_option(),
      {"apple-id", "the account at identity.apple.com that it was made with; kept and shown at renewal", "ID",
       ""},
      {"note", "what else is to be remembered about the topic", "TEXT", ""},
      {"new-topic", "it is meant for another topic beside that of the enrolled devices", "", ""},
      {"replace-topic", "its topic takes the place of this one, whose devices are lost", "TOPIC", ""},
      {"confirm", "with --replace-topic: how many devices are lost, where nobody can type it", "N", ""}};
  import.details =
      "Any form: PEM, DER, PKCS#12 (.p12); the key as PKCS#1, PKCS#8 or encrypted; certificate and key in "
      "one file or\n"
      "in two. No key is needed where `pomona push-cert request` made it here. It takes the place of the "
      "active\n"
      "certificate of the same topic, which is kept; pomona-push uses it from its next round. A certificate "
      "of\n"
      "another topic is refused while devices are enrolled: they accept pushes of their own topic only.";
  Verb rollback{"rollback",  "go back to the certificate before; once more: forth again", "[TOPIC]", 0, 1, {},
                run_rollback};
  return {import, rollback};
}

Noun push_cert_noun() {
  std::vector<Verb> verbs;
  for (auto const& some : {push_cert_request_verbs(), push_cert_import_verbs(), push_cert_show_verbs()})
    verbs.insert(verbs.end(), some.begin(), some.end());
  return {"push-cert", "the certificates by which Apple's push service knows this server", verbs};
}

}  // namespace admin
