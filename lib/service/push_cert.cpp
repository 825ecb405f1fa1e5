#include "service/push_cert.hpp"

#include <algorithm>

#include "store/events.hpp"
#include "store/push.hpp"
#include "store/secrets.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::CertificateRow;
using store::CertStatus;
using store::CertView;
using sys::Error;
using sys::Fault;

constexpr char const* kDoing = "import push certificate: ";
constexpr char const* kUserId = "0.9.2342.19200300.100.1.1";  // UID, where Apple puts the topic

[[noreturn]] void refuse(std::string const& why) { throw Error(Fault::bad_request, kDoing + why); }

std::optional<std::string> topic_of(sys::Cert const& cert) {
  auto topic = cert.subject_value(kUserId);
  if (!topic || !topic->starts_with(kPushTopicPrefix)) return std::nullopt;
  return topic;
}

// The column is ascii; and a topic is a header value.
bool is_topic_text(std::string_view topic) {
  constexpr std::size_t kLongest = 255;
  return topic.size() <= kLongest && std::all_of(topic.begin(), topic.end(), [](unsigned char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
                  c == '-' || c == '_';
         });
}

// The usual wrong files, told apart before a parser only says "cannot read".
void refuse_wrong_kind(std::string_view file) {
  if (file.find("-----BEGIN CERTIFICATE REQUEST-----") != std::string_view::npos ||
      file.find("-----BEGIN NEW CERTIFICATE REQUEST-----") != std::string_view::npos) {
    refuse(
        "the file holds a certificate request; upload that at identity.apple.com and import what you get "
        "back");
  }
  if (file.find("-----BEGIN ") != std::string_view::npos) return;
  // SEQUENCE { INTEGER 3, ... is PKCS#12; a certificate begins SEQUENCE { SEQUENCE.
  constexpr std::string_view kVersion3("\x02\x01\x03", 3);
  if (file.substr(0, 8).find(kVersion3) != std::string_view::npos) {
    refuse(
        "the file is PKCS#12; convert it with `openssl pkcs12 -in FILE -nodes -out pair.pem` and import "
        "pair.pem");
  }
}

// A key file often stands in one file with the certificate; only its own block is given to the parser.
std::string_view key_block(std::string_view file) {
  constexpr std::string_view kKeyWord = "PRIVATE KEY-----";
  auto const word = file.find(kKeyWord);
  if (word == std::string_view::npos) return file;
  auto const begin = file.rfind("-----BEGIN ", word);
  auto const end = file.find(kKeyWord, word + kKeyWord.size());
  if (begin == std::string_view::npos || end == std::string_view::npos) return file;
  return file.substr(begin, end + kKeyWord.size() - begin);
}

sys::Key read_key(std::string_view file, bool own_file) {
  if (!own_file && file.find("PRIVATE KEY-----") == std::string_view::npos) {
    refuse("the file holds no private key; name the key's file after it: `pomona push-cert import CERT KEY`");
  }
  try {
    return sys::Key::read_private(key_block(file));
  } catch (Error const& error) {
    std::string text = error.what();
    if (text.find("encrypted") != std::string::npos) {
      text += "; take it off with `openssl pkey -in KEY -out plain.key`";
    }
    refuse(text);
  }
}

// The certificate with a topic, wherever it stands in the file; the others are its chain.
sys::Cert take_leaf(std::vector<sys::Cert>& certs) {
  auto const found = std::find_if(certs.begin(), certs.end(),
                                  [](sys::Cert const& cert) { return topic_of(cert).has_value(); });
  if (found == certs.end()) {
    refuse("the certificate of " + sys::escape_controls(certs.front().subject()) +
           " has no topic (a subject UID that begins with " + kPushTopicPrefix +
           "); it is not an MDM push certificate. Those come from identity.apple.com and are called "
           "APSP:...");
  }
  sys::Cert leaf = *found;
  certs.erase(found);
  return leaf;
}

void check_dates(sys::Cert const& cert, sys::Time now) {
  if (cert.not_after() < now) {
    refuse("it expired on " + sys::certbot_time(cert.not_after()) +
           "; renew it at identity.apple.com (Renew, not Create, with the same Apple ID) and import the new "
           "one");
  }
  if (now < cert.not_before()) {
    refuse("it is valid only from " + sys::certbot_time(cert.not_before()) + "; check this host's clock");
  }
}

std::string key_purpose(std::string_view sha256) { return "push key " + sys::hex(sha256); }

std::int64_t count_of(std::vector<store::DueTopic> const& topics, std::string const& topic) {
  auto const found =
      std::find_if(topics.begin(), topics.end(), [&](auto const& t) { return t.topic == topic; });
  return found == topics.end() ? 0 : found->count;
}

// A new topic serves nobody who is enrolled.
void guard_topic(std::string const& topic, std::vector<CertificateRow> const& known,
                 std::vector<store::DueTopic> const& enrolled, bool new_topic) {
  bool const is_known =
      count_of(enrolled, topic) > 0 ||
      std::any_of(known.begin(), known.end(), [&](auto const& row) { return row.topic == topic; });
  if (is_known || new_topic || enrolled.empty()) return;
  std::string others;
  for (auto const& other : enrolled) {
    others += (others.empty() ? "" : ", ") + other.topic + " (" + std::to_string(other.count) +
              (other.count == 1 ? " device)" : " devices)");
  }
  throw Error(Fault::conflict, kDoing + ("topic " + topic) +
                                   " is not the topic of the enrolled devices: " + others +
                                   ". They can never be reached with this certificate. Renew theirs at "
                                   "identity.apple.com (Renew, not Create, with the same Apple ID); or, if a "
                                   "second topic for new devices is meant, repeat with --new-topic");
}

std::vector<CertificateRow> stored(sys::Db& db) {
  auto rows = store::list_certificates(db, CertView::push, {.kind = "push"});
  std::reverse(rows.begin(), rows.end());
  return rows;
}

// Imported before: made active again. Else a new row with its sealed key.
void make_active(sys::Db& db, sys::SealKey const& push_key, PushPair const& pair,
                 std::optional<CertificateRow> const& before, sys::Time now) {
  if (before) {
    store::set_certificate_status(db, CertView::push, before->id, CertStatus::active, now);
    return;
  }
  CertificateRow row = store::certificate_row("push", CertStatus::active, pair.cert);
  row.topic = pair.topic;
  row.created_at = now;
  if (!pair.chain.empty()) row.chain = pair.chain;
  row.secret_id =
      store::put_secret(db, push_key, key_purpose(pair.cert.sha256()), pair.key.private_pem().view(), now);
  store::insert_certificate(db, CertView::push, row);
}

PushImport import_within(sys::Db& db, sys::SealKey const& push_key, PushPair const& pair, bool new_topic,
                         sys::Time now) {
  auto const known = stored(db);
  auto const enrolled = store::enrolled_topics(db);
  guard_topic(pair.topic, known, enrolled, new_topic);
  PushImport out{pair.topic, pair.cert.sha256(), pair.cert.not_after(),
                 false,      std::nullopt,       count_of(enrolled, pair.topic),
                 {}};
  std::optional<CertificateRow> before;
  for (auto const& row : known) {
    if (row.sha256 == out.sha256) before = row;
    if (row.topic != pair.topic || row.status != CertStatus::active || row.sha256 == out.sha256) continue;
    store::set_certificate_status(db, CertView::push, row.id, CertStatus::retired, now);
    if (!out.replaced) out.replaced = row;
  }
  out.unchanged = before && before->status == CertStatus::active;
  if (out.replaced && pair.cert.not_after() < out.replaced->not_after) {
    out.warnings.push_back("It expires earlier than the one it replaces (" +
                           sys::certbot_time(out.replaced->not_after) + "): is it an old file?");
  }
  if (!out.unchanged) make_active(db, push_key, pair, before, now);
  return out;
}

}  // namespace

PushPair read_push_pair(std::string_view file, std::optional<sys::SecretBytes> const& key_file,
                        sys::Time now) {
  refuse_wrong_kind(file);
  std::vector<sys::Cert> certs;
  try {
    certs = sys::Cert::read_all(file);
  } catch (Error const& error) {
    refuse(error.what());
  }
  sys::Cert const leaf = take_leaf(certs);
  std::string const topic = topic_of(leaf).value_or("");
  if (!is_topic_text(topic)) refuse("its topic has characters that no topic has");
  sys::Key const key = key_file ? read_key(key_file->view(), true) : read_key(file, false);
  if (!leaf.public_key().same_public_key(key)) {
    refuse("the private key does not belong to the certificate of " + topic +
           "; use the key that its request was made with");
  }
  check_dates(leaf, now);
  if (!leaf.allows_client_auth()) {
    refuse("its extended key usage does not allow TLS client authentication, so APNs would refuse it");
  }
  std::string chain;
  for (auto const& cert : certs) chain += cert.pem();
  return {leaf, key, topic, chain};
}

PushImport import_push_certificate(sys::Db& db, sys::SealKey const& push_key, PushPair const& pair,
                                   bool new_topic, std::string const& who, sys::Time now) {
  PushImport taken = db.transaction([&] {
    PushImport out = import_within(db, push_key, pair, new_topic, now);
    if (!out.unchanged) {
      store::Event event{"push-cert.imported", who};
      event.certificate_sha256 = out.sha256;
      event.detail = "topic " + out.topic + ", expires " + sys::iso_time(out.not_after);
      store::record_event(db, event, now);
    }
    return out;
  });
  if (!taken.unchanged) store::retry_failed_pushes(db, taken.topic, now);
  return taken;
}

std::vector<PushCertificate> list_push_certificates(sys::Db& db, std::optional<std::string> const& topic) {
  auto const enrolled = store::enrolled_topics(db);
  std::vector<PushCertificate> out;
  for (auto& row : stored(db)) {
    if (topic && row.topic != *topic) continue;
    std::int64_t const devices = count_of(enrolled, row.topic.value_or(""));
    out.push_back({std::move(row), devices});
  }
  return out;
}

sys::SecretBytes open_push_key(sys::Db& db, sys::SealKey const& push_key, CertificateRow const& row) {
  if (!row.secret_id || !row.sha256) {
    throw Error(Fault::internal,
                "push certificate of " + row.topic.value_or("?") + ": it has no key; import it again");
  }
  return store::get_secret(db, push_key, *row.secret_id, key_purpose(*row.sha256));
}

}  // namespace service
