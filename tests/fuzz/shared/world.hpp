// What a whole request needs: configuration, a database with devices, tickets and a CA, and identities whose
// keys we hold. tests/rig/fuzz_world.py makes it and names its configuration in POMONA_FUZZ_CONF; without
// that the process says so and ends with 2.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cms.hpp"
#include "service/config.hpp"
#include "sys/fcgi.hpp"
#include "sys/log.hpp"

namespace fuzz {

class World {
 public:
  // `program`: whose database user the requests are served with.
  explicit World(std::string const& program);

  [[nodiscard]] service::Config const& config() const noexcept { return config_; }
  // Of the folder `identities`, in the order of their names.
  [[nodiscard]] std::vector<Identity> const& identities() const noexcept { return identities_; }
  // A file beside the configuration, and its lines.
  [[nodiscard]] std::string file(std::string const& name) const;
  [[nodiscard]] std::vector<std::string> lines(std::string const& name) const;
  // The database as it was made, whatever an input did to it.
  void restore();

 private:
  std::string folder_;
  service::Config config_;
  std::vector<Identity> identities_;
  sys::Db admin_;
};

// What every answer to the Internet has to keep: never 5xx, never 401, a header block that HTTP allows; and
// its log line is one line, bounded, of printable text.
void check_answer(sys::Response const& response, std::string_view method, sys::LogLine const& line);

// A log line that holds a secret of the request is a finding. Short texts are found everywhere.
void check_secret(sys::LogLine const& line, std::string_view secret);

}  // namespace fuzz
