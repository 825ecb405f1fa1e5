// pomona-maintain: looks at every certificate once a day, so that none expires unnoticed.
//
// SECURITY. Started by cron or a timer as the Unix user pomona-maintain; it listens on nothing and reads no
// key file. In the database it reads the public halves of certificates and who is enrolled, adds events, and
// keeps what it has told of. It reads the files that https-ca-file and https-certificate-file name, and with
// --live it connects to server-url and looks at the certificate there, believing none of it. What it prints
// goes into a mail of cron or the journal: names of certificates and devices, never a secret.
//
// Runs may overlap, and may be killed at any point: each threshold is told of once; after a kill perhaps
// twice.
//
// Exit codes: 0 done, 1 failed, 2 usage, 3 not configured, 75 the database is away. Silent when nothing is
// new.
#include <cstdio>

#include "service/expiry_watch.hpp"
#include "service/program.hpp"
#include "store/migrations.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace {

void print(std::string const& text) {
  bool const written = std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  if (!written) throw sys::Error(sys::Fault::unavailable, "write what is new: standard output is closed");
}

int run(service::Config const& config, sys::ParsedOptions const& options) {
  auto db = service::open_database(config);
  store::check_schema(db);
  auto const now = sys::current_time();
  service::watch_expiry(
      db, config, options.has("live"), "pomona-maintain",
      [&](service::ExpiryNews const& news) { print(service::news_text(news, now)); }, now);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  service::ProgramSpec spec{"pomona-maintain", "look at every certificate and say which come near their end"};
  spec.command_line = {{"live", "look also at the certificate that server-url shows", "", ""}};
  return service::run_program(spec, argc, argv, run);
}
