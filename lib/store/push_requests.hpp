// Keys that wait for their push or vendor certificate, and what an admin wrote down about a topic. The pomona
// command only (topic notes: pomona-maintain too).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace store {

struct PushRequestRow {
  std::int64_t id = 0;
  std::string kind = {};         // push, vendor
  std::string spki_sha256 = {};  // of its public key, raw
  std::string subject = {};
  std::string csr = {};        // DER
  std::string secret_id = {};  // its private key, in store/secrets
  sys::Time created_at = {};
  std::string created_by = {};
};
// `row.id` is not looked at. Returns the id.
std::int64_t insert_push_request(sys::Db& db, PushRequestRow const& row);
std::optional<PushRequestRow> find_push_request(sys::Db& db, std::string_view spki_sha256);
std::vector<PushRequestRow> list_push_requests(sys::Db& db);  // oldest first
void delete_push_request(sys::Db& db, std::int64_t id);

struct PushTopicNote {
  std::optional<std::string> apple_id = {};
  std::optional<std::string> note = {};
};
std::map<std::string, PushTopicNote> push_topic_notes(sys::Db& db);  // by topic
// What is nullopt stays as it is.
void set_push_topic_note(sys::Db& db, std::string const& topic, PushTopicNote const& note, sys::Time now);

}  // namespace store
