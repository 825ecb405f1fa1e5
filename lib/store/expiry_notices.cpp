#include "store/expiry_notices.hpp"

#include <string>

namespace store {

bool raise_notice(sys::Db& db, std::string_view subject, int stage, sys::Time now) {
  // Nearly always nothing is new: that is found out without a lock.
  auto const row = db.query_row("SELECT stage FROM expiry_notices WHERE subject = ?", {std::string(subject)});
  if (row && row->integer(0) >= stage) return false;
  if (!row &&
      db.insert_unless_duplicate("INSERT INTO expiry_notices (subject, stage, told_at) VALUES (?, ?, ?)",
                                 {std::string(subject), stage, now}))
    return true;
  return db.execute("UPDATE expiry_notices SET stage = ?, told_at = ? WHERE subject = ? AND stage < ?",
                    {stage, now, std::string(subject), stage}) > 0;
}

bool remind(sys::Db& db, std::string_view subject, sys::Time now) {
  constexpr std::chrono::days kPause{7};
  // A day's run begins a little earlier or later than the one before.
  constexpr std::chrono::hours kEarly{1};
  if (db.execute("UPDATE expiry_notices SET told_at = ? WHERE subject = ? AND told_at < ?",
                 {now, std::string(subject), now - kPause + kEarly}) > 0)
    return true;
  return db.insert_unless_duplicate("INSERT INTO expiry_notices (subject, stage, told_at) VALUES (?, 0, ?)",
                                    {std::string(subject), now});
}

}  // namespace store
