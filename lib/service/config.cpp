#include "service/config.hpp"

#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using sys::Error;
using sys::Fault;
using sys::ParsedOptions;

[[noreturn]] void refuse(std::string const& key, std::string const& value, std::string const& form) {
  throw Error(Fault::bad_request, "configuration: " + key + " = " + value + ": " + form);
}

sys::seconds duration(ParsedOptions const& parsed, std::string const& key) {
  auto const value = sys::parse_duration(parsed.get(key));
  if (!value) refuse(key, parsed.get(key), "a duration like 30s, 5m, 24h or 7d is needed");
  return *value;
}

int number(ParsedOptions const& parsed, std::string const& key, int least, int most) {
  auto const value = sys::parse_integer(parsed.get(key));
  if (!value || *value < least || *value > most) {
    refuse(key, parsed.get(key),
           "a number from " + std::to_string(least) + " to " + std::to_string(most) + " is needed");
  }
  return static_cast<int>(*value);
}

std::size_t byte_size(ParsedOptions const& parsed, std::string const& key) {
  std::string text = parsed.get(key);
  std::size_t unit = 1;
  if (text.ends_with('k')) unit = 1U << 10U;
  if (text.ends_with('M')) unit = 1U << 20U;
  if (unit > 1) text.pop_back();
  auto const value = sys::parse_integer(text);
  constexpr std::int64_t kMost = 1LL << 30;
  if (!value || *value <= 0 || *value > kMost)
    refuse(key, parsed.get(key), "a size like 64k or 16M is needed");
  return static_cast<std::size_t>(*value) * unit;
}

template <typename T>
T choice(ParsedOptions const& parsed, std::string const& key,
         std::vector<std::pair<std::string, T>> const& choices) {
  std::string words;
  for (auto const& [word, value] : choices) {
    if (parsed.get(key) == word) return value;
    words += (words.empty() ? "" : " or ") + word;
  }
  refuse(key, parsed.get(key), words + " is needed");
}

bool yes_no(ParsedOptions const& parsed, std::string const& key) {
  return choice<bool>(parsed, key, {{"yes", true}, {"no", false}});
}

AuthKind auth(ParsedOptions const& parsed, std::string const& key) {
  return choice<AuthKind>(parsed, key, {{"tls", AuthKind::tls}, {"signature", AuthKind::signature}});
}

std::string url(ParsedOptions const& parsed, std::string const& key, bool plain_too) {
  std::string value = parsed.get(key);
  while (value.ends_with('/')) value.pop_back();
  bool const fits = value.starts_with("https://") || (plain_too && value.starts_with("http://"));
  if (!fits || value.find_first_of(" \t\"'<>?#") != std::string::npos) {
    refuse(key, value,
           plain_too ? "an http:// or https:// URL is needed" : "an https:// URL without query is needed");
  }
  return value;
}

void read_database(Config& config, ParsedOptions const& parsed, std::string const& program) {
  config.database = parsed.get("database");
  config.database_socket = parsed.get("database-socket");
  config.database_user = parsed.find("database-user").value_or(program);
  config.database_password_file = parsed.get("database-password-file");
  for (auto at = config.database_password_file.find("%p"); at != std::string::npos;
       at = config.database_password_file.find("%p", at + program.size())) {
    config.database_password_file.replace(at, 2, program);
  }
}

void read_rules(Config& config, ParsedOptions const& parsed) {
  config.open_enrollment = yes_no(parsed, "open-enrollment");
  config.open_enrollment_auth = auth(parsed, "open-enrollment-auth");
  config.reenrollment = choice<Reenrollment>(
      parsed, "reenrollment", {{"approve", Reenrollment::approve}, {"allow", Reenrollment::allow}});
  config.scep_allow_des = choice<AllowDes>(
      parsed, "scep-allow-des", {{"no", AllowDes::no}, {"tls", AllowDes::tls}, {"yes", AllowDes::yes}});
  config.ticket_attempts = number(parsed, "ticket-attempts", 1, 100);
  config.scep_renewal = yes_no(parsed, "scep-renewal");
  config.ticket_lifetime = duration(parsed, "ticket-lifetime");
  config.identity_lifetime = duration(parsed, "identity-lifetime");
  config.identity_overlap = duration(parsed, "identity-overlap");
  config.identity_grace = duration(parsed, "identity-grace");
  config.encrypt_renewal = choice<EncryptRenewal>(
      parsed, "encrypt-renewal",
      {{"auto", EncryptRenewal::automatic}, {"yes", EncryptRenewal::always}, {"no", EncryptRenewal::never}});
  config.last_seen_interval = duration(parsed, "last-seen-interval");
  config.message_limit = byte_size(parsed, "message-limit");
}

std::vector<sys::OptionSpec> push_options() {
  return {
      {"push-url", "base URL of APNs", "URL", "https://api.push.apple.com"},
      {"push-ca-file", "PEM that APNs is checked with; the system's where unset", "PATH", ""},
      {"push-expiration", "how long APNs keeps a push for a silent device", "TIME", "7d"},
      {"apple-chain-file", "PEM of Apple's WWDR intermediates and root, with which requests are signed",
       "PATH", ""},
      {"mdmcert-url", "where mdmcert.download takes requests", "URL",
       "https://mdmcert.download/api/v1/signrequest"},
      {"mdmcert-key-file", "file with the product's key for mdmcert.download", "PATH", ""},
      {"mdmcert-ca-file", "PEM that mdmcert-url is checked with; the system's where unset", "PATH", ""},
  };
}

}  // namespace

std::vector<sys::OptionSpec> config_options() {
  std::vector<sys::OptionSpec> options{
      {"server-url", "URL under which devices reach this server; required", "URL", ""},
      {"scep-url", "URL that enrolment profiles name for SCEP; server-url + /scep where unset", "URL", ""},
      {"organization", "name shown on devices and in certificates", "NAME", "Pomona"},
      // `scripts/stack env` prints POMONA_DATABASE for its users; another stack's must not become ours.
      {"database", "name of the database (not read from the environment)", "NAME", "pomona", false},
      {"database-socket", "Unix socket of MariaDB", "PATH", "/run/mysqld/mysqld.sock"},
      {"database-user", "MariaDB user; the program's name where unset", "NAME", ""},
      {"database-password-file", "file with the password, %p = program; unix_socket login where unset",
       "PATH", ""},
      {"key-dir", "folder of the domain keys", "PATH", "/etc/pomona/keys"},
      {"gate-file", "file with the secret by which nginx is known", "PATH", "/etc/pomona/gate"},
      {"https-ca-file",
       "PEM of the private CA of the HTTPS certificate, for profiles; unset with a public one", "PATH", ""},
      {"https-certificate-file", "PEM that nginx serves HTTPS with, leaf first: watched, never served",
       "PATH", ""},
      {"open-enrollment", "serve /enroll without a ticket: yes or no", "YES|NO", "no"},
      {"open-enrollment-auth", "how such devices prove themselves: tls or signature", "KIND", "tls"},
      {"reenrollment", "an unbound ticket for a device that is enrolled: approve or allow", "RULE",
       "approve"},
      {"scep-allow-des", "take DES, 3DES and SHA-1 in SCEP messages: no, tls (over TLS only) or yes", "RULE",
       "no"},
      {"scep-renewal", "renew identities by SCEP alone, signed with the old one: yes or no", "yes|no", "no"},
      {"ticket-attempts", "keys that may be tried with one ticket, or to renew one identity", "N", "3"},
      {"ticket-lifetime", "how long a new ticket is good", "TIME", "7d"},
      {"identity-lifetime", "how long a new identity certificate is good", "TIME", "730d"},
      {"identity-overlap", "how long reports of a renewed identity's predecessor are taken", "TIME", "24h"},
      {"identity-grace", "how long an expired identity may still fetch its renewal", "TIME", "180d"},
      {"encrypt-renewal", "encrypt renewal profiles to the identity that fetches them: auto, yes or no",
       "WHEN", "auto"},
      {"threads", "requests answered at once by a handler", "N", "4"},
      {"socket", "Unix socket that a handler listens on; else LISTEN_FDS or fd 0", "PATH", ""},
      {"last-seen-interval", "how often a device's last contact is written", "TIME", "5m"},
      {"message-limit", "largest report that is kept whole", "SIZE", "16M"},
  };
  auto const push = push_options();
  options.insert(options.end(), push.begin(), push.end());
  return options;
}

Config make_config(ParsedOptions const& parsed, std::string const& program) {
  if (parsed.get("server-url").empty()) {
    throw Error(Fault::not_found,
                "configuration: server-url is not set; name the URL under which devices reach this server");
  }
  Config config;
  config.server_url = url(parsed, "server-url", false);
  config.scep_url = parsed.has("scep-url") ? url(parsed, "scep-url", true) : config.server_url + "/scep";
  config.organization = parsed.get("organization");
  read_database(config, parsed, program);
  config.key_dir = parsed.get("key-dir");
  config.gate_file = parsed.get("gate-file");
  config.https_ca_file = parsed.get("https-ca-file");
  config.https_certificate_file = parsed.get("https-certificate-file");
  read_rules(config, parsed);
  config.push_url = url(parsed, "push-url", false);
  config.push_ca_file = parsed.get("push-ca-file");
  config.push_expiration = duration(parsed, "push-expiration");
  config.apple_chain_file = parsed.get("apple-chain-file");
  config.mdmcert_url = url(parsed, "mdmcert-url", false);
  config.mdmcert_key_file = parsed.get("mdmcert-key-file");
  config.mdmcert_ca_file = parsed.get("mdmcert-ca-file");
  config.threads = number(parsed, "threads", 1, 256);
  config.socket = parsed.get("socket");
  return config;
}

sys::Db open_database(Config const& config, Patience patience) {
  sys::DbOptions options{config.database_socket, config.database_user, {}, config.database};
  if (!config.database_password_file.empty())
    options.password = sys::read_secret_file(config.database_password_file);
  if (patience == Patience::request) {
    options.reply_seconds = 5;
    options.lock_seconds = 2;
  }
  if (patience == Patience::round) options.reply_seconds = 10;
  constexpr unsigned kDay = 86400;
  if (patience == Patience::migration) options.reply_seconds = kDay;
  return sys::Db(std::move(options));
}

}  // namespace service
