#include "store/messages.hpp"

namespace store {

std::string message_purpose(std::int64_t enrollment_id, std::string_view type) {
  return "message:" + std::to_string(enrollment_id) + ':' + std::string(type);
}

void put_message(sys::Db& db, sys::KeyRing const& message_key, std::int64_t enrollment_id,
                 std::string_view type, std::string_view body, sys::Time now) {
  db.execute("INSERT INTO messages (enrollment_id, type, body, received_at) VALUES (?, ?, ?, ?)",
             {enrollment_id, type, message_key.seal_column(message_purpose(enrollment_id, type), body), now});
}

std::vector<sys::SecretBytes> messages_of(sys::Db& db, sys::KeyRing const& message_key,
                                          std::int64_t enrollment_id, std::string_view type,
                                          std::int64_t limit) {
  std::vector<sys::SecretBytes> all;
  for (auto const& row : db.query("SELECT body FROM messages WHERE enrollment_id = ? AND type = ? "
                                  "ORDER BY received_at DESC, id DESC LIMIT ?",
                                  {enrollment_id, type, limit})) {
    all.emplace_back(message_key.open_column(row.text(0), message_purpose(enrollment_id, type)));
  }
  return all;
}

}  // namespace store
