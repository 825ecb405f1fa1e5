// The inventory: every certificate the server knows, from the database, from the files that the configuration
// names and, on request, from the HTTPS server itself; how long each is good, who depends on it, what happens
// when it runs out, and what to do next. Trusts nothing that it looks at; a file that cannot be read is a
// problem in words, never the end of the report.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "service/config.hpp"
#include "service/expiry.hpp"
#include "store/certificates.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

struct CertReport {
  std::string kind;  // as in `certificates`; "identities" for a summary of them
  std::string title;
  std::optional<store::CertificateRow> row = {};  // none for a summary
  std::optional<std::string> file = {};           // where it stands, if not in the database
  std::optional<std::string> device = {};         // of a single identity
  std::int64_t count = 1;
  std::string status = {};
  sys::Time not_before = {};
  sys::Time not_after = {};
  std::int64_t used_by = 0;  // enrolled devices that depend on it
  sys::Time act_after = {};  // from here on attention is asked for
  Expiry expiry = Expiry::good;
  bool differs = false;  // the HTTPS server shows another one than the file has
  bool counts = true;    // false: superseded and used by nobody, so its expiry means nothing
  std::string consequence = {};
  std::string next_step = {};  // "" while nothing is to be done
};

struct Look {
  bool all = false;   // also superseded certificates that nobody uses, and each identity by itself
  bool live = false;  // ask server-url which certificate it shows
};

// What could not be looked at. The text may differ from try to try ("after 12 ms").
struct InventoryProblem {
  std::string key;  // the configuration key that names it
  std::string text;
};

struct Inventory {
  std::vector<CertReport> reports;  // worst first
  std::vector<InventoryProblem> problems;
};

Inventory take_inventory(sys::Db& db, Config const& config, Look const& look, sys::Time now);

}  // namespace service
