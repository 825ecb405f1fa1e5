// The configuration of all programs: one option table, this struct, and docs/operations.md; a test compares
// the three.
//
// Secrets are file names, never values. Every program accepts every key, so that one file serves all.
#pragma once

#include <string>
#include <vector>

#include "proto/auth.hpp"
#include "sys/mariadb.hpp"
#include "sys/options.hpp"
#include "sys/time.hpp"

namespace service {

enum class Reenrollment { approve, allow };
// Whether a renewal profile is encrypted to the identity that fetches it.
enum class EncryptRenewal {
  automatic,  // where an Mdm-Signature proved the identity: whoever replays a recorded one cannot read it
  always,
  never,
};
enum class AllowDes { no, tls, yes };
using proto::AuthKind;

struct Config {
  std::string server_url;  // https://mdm.example.org, without a trailing slash
  std::string scep_url;
  std::string organization;

  std::string database;
  std::string database_socket;
  std::string database_user;
  std::string database_password_file;

  std::string key_dir;
  std::string gate_file;
  std::string https_ca_file;
  std::string https_certificate_file;

  bool open_enrollment = false;
  AuthKind open_enrollment_auth = AuthKind::tls;
  Reenrollment reenrollment = Reenrollment::approve;
  AllowDes scep_allow_des = AllowDes::no;
  int ticket_attempts = 3;
  bool scep_renewal = false;
  sys::seconds ticket_lifetime{};
  sys::seconds identity_lifetime{};
  sys::seconds identity_overlap{};
  sys::seconds identity_grace{};
  EncryptRenewal encrypt_renewal = EncryptRenewal::automatic;

  std::string push_url;
  std::string push_ca_file;
  sys::seconds push_expiration{};
  std::string apple_chain_file;
  std::string mdmcert_url;
  std::string mdmcert_key_file;
  std::string mdmcert_ca_file;

  int threads = 4;
  std::string socket;
  sys::seconds last_seen_interval{};
  std::size_t message_limit = 0;  // bytes of a report that are kept
};

// The option table: key, help, placeholder, default.
std::vector<sys::OptionSpec> config_options();

// `program` is the default of database-user and stands for %p. Throws Error{bad_request} for a value that is
// not of its form, Error{not_found} when a required key is missing (exit code 3).
Config make_config(sys::ParsedOptions const& parsed, std::string const& program);

// How long one statement may take. A request must be answered within ten seconds (the statements that begin
// in the first kRequestStart, the last of them with its own time); a worker's round stays inside its leases;
// a job may wait for a slow list; a step of a migration may rebuild a large table.
enum class Patience { request, round, job, migration };
inline constexpr std::chrono::milliseconds kRequestStart{4000};
sys::Db open_database(Config const& config, Patience patience = Patience::job);

}  // namespace service
