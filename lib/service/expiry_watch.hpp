// The daily look at every certificate: an event at each threshold of its life, and a mail with what is new.
//
// Each threshold of each certificate is told of once, however often and by however many runs at once it is
// looked for; a certificate that is found behind several thresholds is told of once, at the last of them.
// What is amiss and can be mended (a file that cannot be read, a server that was not reloaded) is told of
// again each week.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "service/cert_report.hpp"

namespace service {

struct ExpiryNotice {
  CertReport report;
  int stage = 0;  // thresholds passed; kExpiredStage
};

struct ExpiryNews {
  std::vector<ExpiryNotice> notices;  // in the order of the inventory
  std::vector<CertReport> differing;  // the server shows another certificate than its file has
  std::vector<std::string> problems;  // what could not be looked at
  [[nodiscard]] bool empty() const noexcept {
    return notices.empty() && differing.empty() && problems.empty();
  }
};

// Writes events (certificate.expiring, certificate.expired) and gives the news to `tell` before they are
// committed: who is killed in between, or must repeat the COMMIT, tells again. `who`: the program's name.
// Throws what `tell` throws, and then nothing was told.
void watch_expiry(sys::Db& db, Config const& config, bool live, std::string const& who,
                  std::function<void(ExpiryNews const&)> const& tell, sys::Time now);

// The mail: what was found, what it means, what to do.
std::string news_text(ExpiryNews const& news, sys::Time now);

}  // namespace service
