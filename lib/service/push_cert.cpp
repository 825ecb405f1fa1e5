#include "service/push_cert.hpp"

#include <algorithm>

#include "service/cert_words.hpp"
#include "service/kept_key.hpp"
#include "service/push_staging.hpp"
#include "store/events.hpp"
#include "store/leases.hpp"
#include "store/push.hpp"
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

std::int64_t count_of(std::vector<store::DueTopic> const& topics, std::string const& topic) {
  auto const found =
      std::find_if(topics.begin(), topics.end(), [&](auto const& t) { return t.topic == topic; });
  return found == topics.end() ? 0 : found->count;
}

// A new topic serves nobody who is enrolled.
void guard_topic(std::string const& topic, std::vector<CertificateRow> const& known,
                 std::vector<store::DueTopic> const& enrolled, TopicChoice const& choice) {
  bool const is_known =
      count_of(enrolled, topic) > 0 ||
      std::any_of(known.begin(), known.end(), [&](auto const& row) { return row.topic == topic; });
  if (is_known || choice.new_topic || choice.replace || enrolled.empty()) return;
  std::string others;
  for (auto const& other : enrolled) {
    others += (others.empty() ? "" : ", ") + other.topic + " (" + devices_text(other.count) + ')';
  }
  throw Error(
      Fault::conflict,
      kDoing + ("topic " + topic) + " is not the topic of the enrolled devices: " + others +
          ". They can never be reached with this certificate. Renew theirs at identity.apple.com (Renew, not "
          "Create, with the same Apple ID). If a second topic for new devices is meant, repeat with "
          "--new-topic; "
          "if theirs is given up and they are to be enrolled again, with --replace-topic " +
          enrolled.front().topic);
}

// Gives up a topic; returns how many devices are lost with it.
std::int64_t give_up_topic(sys::Db& db, std::string const& topic, TopicChoice const& choice,
                           std::vector<CertificateRow> const& known,
                           std::vector<store::DueTopic> const& enrolled, sys::Time now) {
  if (!choice.replace) return 0;
  auto const& old = *choice.replace;
  if (old == topic) {
    throw Error(Fault::bad_request, kDoing + ("this is a certificate of " + topic) +
                                        " itself: a renewal, which needs no --replace-topic");
  }
  std::int64_t const lost = count_of(enrolled, old);
  std::vector<CertificateRow> ended;
  for (auto const& row : known) {
    if (row.topic == old && row.status == CertStatus::active) ended.push_back(row);
  }
  if (ended.empty() && lost == 0) {
    throw Error(Fault::not_found, kDoing + ("--replace-topic " + sys::escape_controls(old)) +
                                      ": no such topic; `pomona push-cert list` lists them");
  }
  if (choice.confirmed.value_or(0) != lost) {
    throw Error(
        Fault::conflict,
        kDoing + ("topic " + old) + " has " + devices_text(lost) +
            " enrolled, and they are lost with it: each must be enrolled again by hand. That is not the "
            "number confirmed; nothing was changed. Say --confirm " +
            std::to_string(lost) + " if that is meant");
  }
  for (auto const& row : ended)
    store::set_certificate_status(db, CertView::push, row.id, CertStatus::retired, now);
  return lost;
}

std::vector<CertificateRow> stored(sys::Db& db) {
  auto rows = store::list_certificates(db, CertView::push, {.kind = "push"});
  std::reverse(rows.begin(), rows.end());
  return rows;
}

CertificateRow row_of(PushPair const& pair) {
  CertificateRow row = store::certificate_row("push", CertStatus::active, pair.cert);
  row.topic = pair.topic;
  if (!pair.chain.empty()) row.chain = pair.chain;
  return row;
}

// Two at once would leave two active ones of a topic.
void require(store::Lease const& lease) {
  if (!lease.held())
    throw Error(Fault::unavailable,
                "push certificates: another command changes them just now; try again in half a minute");
}

PushImport import_within(sys::Db& db, sys::KeyRing const& push_key, PushPair const& pair,
                         TopicChoice const& choice, sys::Time now) {
  auto const known = stored(db);
  auto const enrolled = store::enrolled_topics(db);
  guard_topic(pair.topic, known, enrolled, choice);
  PushImport out;
  out.topic = pair.topic;
  out.sha256 = pair.cert.sha256();
  out.not_after = pair.cert.not_after();
  out.devices = count_of(enrolled, pair.topic);
  out.lost = give_up_topic(db, pair.topic, choice, known, enrolled, now);
  std::optional<CertificateRow> before;
  for (auto const& row : known) {
    if (row.sha256 == out.sha256) before = row;
    if (row.topic != pair.topic || row.status != CertStatus::active || row.sha256 == out.sha256) continue;
    store::set_certificate_status(db, CertView::push, row.id, CertStatus::retired, now);
    if (!out.replaced) out.replaced = row;
  }
  out.unchanged = before && before->status == CertStatus::active && kept_key_opens(db, push_key, *before);
  if (out.replaced && pair.cert.not_after() < out.replaced->not_after) {
    out.warnings.push_back("It expires earlier than the one it replaces (" +
                           sys::certbot_time(out.replaced->not_after) + "): is it an old file?");
  }
  if (pair.cert.self_signed()) out.warnings.emplace_back("It is self-signed: APNs takes Apple's only.");
  if (!out.unchanged) keep_certificate(db, push_key, CertView::push, row_of(pair), pair.key, now);
  end_staging(db, push_key, pair.cert);
  return out;
}

store::Event event_of(char const* what, std::string const& who, std::string const& sha256,
                      std::string const& detail) {
  store::Event event{what, who};
  event.certificate_sha256 = sha256;
  event.detail = detail;
  return event;
}

void tell_import(sys::Db& db, PushImport const& done, TopicChoice const& choice, std::string const& who,
                 sys::Time now) {
  if (!done.unchanged) {
    store::record_event(db,
                        event_of("push-cert.imported", who, done.sha256,
                                 "topic " + done.topic + ", expires " + sys::iso_time(done.not_after)),
                        now);
  }
  if (!choice.replace) return;
  store::record_event(db,
                      event_of("push-cert.topic-replaced", who, done.sha256,
                               "topic " + *choice.replace + " given up for " + done.topic +
                                   ", lost: " + devices_text(done.lost)),
                      now);
}

// The topic that a rollback without one means.
std::string only_active_topic(std::vector<CertificateRow> const& rows) {
  std::optional<std::string> found;
  for (auto const& row : rows) {
    if (row.status != CertStatus::active || !row.topic || row.topic == found) continue;
    if (found) {
      throw Error(
          Fault::bad_request,
          "roll back push certificate: there are several topics; name one, `pomona push-cert list` lists "
          "them");
    }
    found = row.topic;
  }
  if (!found) {
    throw Error(Fault::not_found, "roll back push certificate: there is no active one; name the topic");
  }
  return *found;
}

// The one that was set aside last.
std::optional<CertificateRow> last_retired(std::vector<CertificateRow> const& rows,
                                           std::string const& topic) {
  std::optional<CertificateRow> found;
  for (auto const& row : rows) {
    if (row.topic != topic || row.status != CertStatus::retired) continue;
    if (!found || row.ended_at > found->ended_at) found = row;
  }
  return found;
}

PushRollback roll_back_within(sys::Db& db, sys::KeyRing const& push_key,
                              std::optional<std::string> const& wanted, sys::Time now) {
  auto const rows = stored(db);
  std::string const topic = wanted ? *wanted : only_active_topic(rows);
  auto before = last_retired(rows, topic);
  if (!before) {
    throw Error(Fault::not_found,
                "roll back push certificate: of topic " + sys::escape_controls(topic) +
                    " there is no earlier certificate; `pomona push-cert list` lists what there "
                    "is");
  }
  if (before->not_after < now) {
    throw Error(Fault::conflict, "roll back push certificate: the one before expired on " +
                                     sys::certbot_time(before->not_after) +
                                     "; APNs would refuse it. Nothing was changed");
  }
  (void)open_kept_key(db, push_key, *before);
  PushRollback out{*before, std::nullopt, count_of(store::enrolled_topics(db), topic)};
  for (auto const& row : rows) {
    if (row.topic != topic || row.status != CertStatus::active) continue;
    store::set_certificate_status(db, CertView::push, row.id, CertStatus::retired, now);
    out.set_aside = row;
  }
  store::set_certificate_status(db, CertView::push, before->id, CertStatus::active, now);
  return out;
}

}  // namespace

PushImport import_push_certificate(sys::Db& db, sys::KeyRing const& push_key, PushPair const& pair,
                                   TopicChoice const& choice, store::PushTopicNote const& note,
                                   std::string const& who, sys::Time now) {
  store::Lease const lease(db, "push-cert", store::lease_owner());
  require(lease);
  PushImport taken = db.transaction([&] {
    PushImport out = import_within(db, push_key, pair, choice, now);
    store::set_push_topic_note(db, pair.topic, note, now);
    tell_import(db, out, choice, who, now);
    return out;
  });
  if (!taken.unchanged) store::retry_failed_pushes(db, taken.topic, now);
  return taken;
}

std::int64_t devices_of_topic(sys::Db& db, std::string const& topic) {
  return count_of(store::enrolled_topics(db), topic);
}

PushRollback roll_back_push_certificate(sys::Db& db, sys::KeyRing const& push_key,
                                        std::optional<std::string> const& topic, std::string const& who,
                                        sys::Time now) {
  store::Lease const lease(db, "push-cert", store::lease_owner());
  require(lease);
  PushRollback done = db.transaction([&] {
    PushRollback out = roll_back_within(db, push_key, topic, now);
    store::record_event(db,
                        event_of("push-cert.rolled-back", who, out.now_active.sha256.value_or(""),
                                 "topic " + out.now_active.topic.value_or("") + ", expires " +
                                     sys::iso_time(out.now_active.not_after)),
                        now);
    return out;
  });
  store::retry_failed_pushes(db, done.now_active.topic.value_or(""), now);
  return done;
}

std::vector<PushCertificate> list_push_certificates(sys::Db& db, std::optional<std::string> const& topic) {
  auto const enrolled = store::enrolled_topics(db);
  auto const notes = store::push_topic_notes(db);
  std::vector<PushCertificate> out;
  for (auto& row : stored(db)) {
    if (topic && row.topic != *topic) continue;
    std::string const name = row.topic.value_or("");
    auto const note = notes.find(name);
    out.push_back({std::move(row), count_of(enrolled, name),
                   note == notes.end() ? store::PushTopicNote() : note->second});
  }
  return out;
}

}  // namespace service
