#include "store/profiles.hpp"

#include "sys/text.hpp"

namespace store {

namespace {

constexpr std::string_view kSelect =
    "SELECT id, ticket_id, uuid, root_identifier, topic, server_url, checkin_url, access_rights, "
    "capabilities, sign_message, created_at FROM profiles ";

std::string joined(std::vector<std::string> const& words) {
  std::string out;
  for (auto const& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> out;
  for (auto const word : sys::split(text, ' '))
    if (!word.empty()) out.emplace_back(word);
  return out;
}

std::optional<Profile> read(std::optional<sys::DbRow> const& row) {
  if (!row) return std::nullopt;
  Profile profile;
  profile.id = row->integer(0);
  profile.ticket_id = row->maybe_integer(1);
  profile.uuid = row->text(2);
  profile.frozen = {row->text(3),
                    row->text(4),
                    row->text(5),
                    row->text(6),
                    static_cast<std::uint32_t>(row->integer(7)),
                    words_of(row->text(8)),
                    row->integer(9) != 0};
  profile.created_at = row->time(10);
  return profile;
}

}  // namespace

bool insert_profile(sys::Db& db, Profile const& profile) {
  auto const& frozen = profile.frozen;
  return db.insert_unless_duplicate(
      "INSERT INTO profiles (ticket_id, uuid, root_identifier, topic, server_url, checkin_url, "
      "access_rights, "
      "capabilities, sign_message, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {profile.ticket_id, profile.uuid, frozen.root_identifier, frozen.topic, frozen.server_url,
       frozen.checkin_url, frozen.access_rights, joined(frozen.capabilities), frozen.sign_message,
       profile.created_at});
}

std::optional<Profile> find_profile(sys::Db& db, std::int64_t id) {
  return read(db.query_row(std::string(kSelect) + "WHERE id = ?", {id}));
}

std::optional<Profile> find_profile_of_ticket(sys::Db& db, std::int64_t ticket_id) {
  return read(db.query_row(std::string(kSelect) + "WHERE ticket_id = ?", {ticket_id}));
}

}  // namespace store
