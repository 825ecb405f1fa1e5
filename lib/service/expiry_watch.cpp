#include "service/expiry_watch.hpp"

#include <algorithm>

#include "service/cert_words.hpp"
#include "service/expiry.hpp"
#include "store/events.hpp"
#include "store/expiry_notices.hpp"
#include "sys/digest.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

// More identities than these in one mail are counted, not named.
constexpr std::size_t kNamed = 3;

std::string sentence(CertReport const& report, sys::Time now) {
  auto const left = std::chrono::floor<std::chrono::days>(report.not_after - now).count();
  std::string const day = sys::iso_time(report.not_after).substr(0, 10);
  if (now > report.not_after) return report.title + ": expired on " + day;
  return report.title + ": " +
         (left < 1    ? "less than a day"
          : left == 1 ? "1 day"
                      : std::to_string(left) + " days") +
         " left, until " + day;
}

store::Event event_of(ExpiryNotice const& notice, std::string const& who, sys::Time now) {
  auto const& report = notice.report;
  store::Event event{notice.stage == kExpiredStage ? "certificate.expired" : "certificate.expiring", who};
  event.external_id = report.device;
  event.certificate_sha256 = report.row->sha256;
  if (report.kind == "identity") event.enrollment_id = report.row->enrollment_id;
  event.detail = sentence(report, now) + ". " + report.consequence;
  return event;
}

ExpiryNews look(sys::Db& db, Inventory const& inventory, std::string const& who, sys::Time now) {
  ExpiryNews news;
  for (auto const& report : inventory.reports) {
    if (!report.counts || !report.row || !report.row->sha256) continue;
    if (report.differs && store::remind(db, sys::sha256("differs " + *report.row->sha256), now))
      news.differing.push_back(report);
    int const stage = expiry_stage(report.not_before, report.not_after, now);
    if (stage == 0 || !store::raise_notice(db, *report.row->sha256, stage, now)) continue;
    news.notices.push_back({report, stage});
    store::record_event(db, event_of(news.notices.back(), who, now), now);
  }
  for (auto const& problem : inventory.problems)
    if (store::remind(db, sys::sha256("problem " + problem.key), now)) news.problems.push_back(problem.text);
  return news;
}

std::string paragraph(ExpiryNotice const& notice, sys::Time now) {
  auto const& report = notice.report;
  auto const words = cert_words(report.kind);
  std::string text = '\n' + sentence(report, now) + '\n';
  if (report.file) text += "  File: " + *report.file + '\n';
  text += "  When it expires: " + report.consequence + '\n';
  // The inventory asks for nothing yet at the first threshold.
  text +=
      "  Next step: " + (report.next_step.empty() ? std::string(words.next_step) : report.next_step) + '\n';
  return text;
}

std::string identities_text(std::vector<ExpiryNotice const*> const& identities, sys::Time now) {
  std::string text = "\nDevice identities: " + std::to_string(identities.size()) +
                     " came nearer to their end or reached it\n";
  for (std::size_t i = 0; i < std::min(kNamed, identities.size()); ++i)
    text += "  " + sentence(identities[i]->report, now) + '\n';
  if (identities.size() > kNamed)
    text += "  and " + std::to_string(identities.size() - kNamed) + " more: `pomona certs --all`\n";
  auto const words = cert_words("identities");
  text += "  When one expires: " + std::string(words.consequence) + '\n';
  text += "  Next step: " + std::string(words.next_step) + '\n';
  return text;
}

}  // namespace

void watch_expiry(sys::Db& db, Config const& config, bool live, std::string const& who,
                  std::function<void(ExpiryNews const&)> const& tell, sys::Time now) {
  auto const inventory = take_inventory(db, config, {true, live}, now);
  db.transaction([&] {
    auto const news = look(db, inventory, who, now);
    if (!news.empty()) tell(news);
  });
}

std::string news_text(ExpiryNews const& news, sys::Time now) {
  std::string text = "Certificates of Pomona, " + sys::iso_time(now).substr(0, 10) +
                     ": new since the last mail. `pomona certs` shows all.\n";
  std::vector<ExpiryNotice const*> identities;
  for (auto const& notice : news.notices) {
    if (notice.report.kind == "identity") {
      identities.push_back(&notice);
    } else {
      text += paragraph(notice, now);
    }
  }
  if (!identities.empty()) text += identities_text(identities, now);
  for (auto const& report : news.differing)
    text += '\n' + sentence(report, now) + "\n  Next step: " + report.next_step + '\n';
  for (auto const& problem : news.problems)
    text += "\nCould not be looked at: " + sys::escape_controls(problem) + '\n';
  return text;
}

}  // namespace service
