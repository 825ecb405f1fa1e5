#include "service/enroll.hpp"

#include <nlohmann/json.hpp>

#include "proto/ticket.hpp"
#include "service/ticket.hpp"
#include "store/certificates.hpp"
#include "store/events.hpp"
#include "store/profiles.hpp"
#include "sys/crash_point.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"
#include "sys/x509.hpp"

namespace service {

namespace {

using sys::Error;
using sys::Fault;

proto::FrozenProfile frozen_values(Config const& config, store::Ticket const& ticket) {
  return {proto::profile_identifier(config.server_url, "enrollment"),
          ticket.topic,
          config.server_url + "/mdm",
          config.server_url + "/mdm",
          proto::kAllAccessRights,
          proto::default_capabilities(),
          ticket.auth == AuthKind::signature};
}

// What the ticket was given before, or now for the first time. The caller holds the ticket's row.
store::Profile settle_profile(sys::Db& db, Config const& config, store::Ticket const& ticket, sys::Time now) {
  if (auto known = store::find_profile_of_ticket(db, ticket.id)) return std::move(*known);
  store::Profile profile{0, ticket.id, sys::random_uuid(), frozen_values(config, ticket), now};
  store::insert_profile(db, profile);
  store::record_event(db,
                      {.what = "profile.given",
                       .who = "pomona-enroll",
                       .enrollment_id = ticket.enrollment_id,
                       .serial_number = ticket.bind_serial,
                       .ticket_id = ticket.id},
                      now);
  return profile;
}

std::string render(sys::Db& db, Config const& config, store::Ticket const& ticket,
                   std::string const& challenge, sys::Time now) {
  auto const ca = store::active_ca(db);
  if (!ca || !ca->der)
    throw Error(Fault::not_found, "no CA that could issue identities; run `pomona ca init`");
  auto const profile = settle_profile(db, config, ticket, now);
  return proto::enrollment_profile(profile.frozen, {.root_uuid = profile.uuid,
                                                    .identity_uuid = ticket.uuid,
                                                    .organization = config.organization,
                                                    .scep_url = config.scep_url,
                                                    .scep_name = ca->name.value_or(""),
                                                    .challenge = challenge,
                                                    .ca_fingerprint = sys::sha256(*ca->der),
                                                    .trust = https_anchors(config)});
}

}  // namespace

EnrollOutcome enroll_by_ticket(sys::Db& db, Config const& config, std::string_view secret, bool mint,
                               sys::Time now) {
  using Kind = EnrollOutcome::Kind;
  if (!proto::is_ticket_secret(secret)) return {};
  return db.transaction([&]() -> EnrollOutcome {
    // Locked, so that two downloads at once settle on one profile.
    auto const ticket = store::find_ticket_by_secret(db, sys::sha256(secret), store::Lock::update);
    if (!ticket) return {};
    if (char const* obstacle = ticket_obstacle(*ticket, now); obstacle != nullptr)
      return {Kind::gone, "", ticket->id, obstacle};
    if (ticket->uses == 1) {
      return {Kind::profile, render(db, config, *ticket, proto::ticket_challenge(secret), now), ticket->id};
    }
    if (!mint) return {Kind::profile, "", ticket->id};
    if (!store::take_ticket_use(db, ticket->id)) return {Kind::gone, "", ticket->id, "used-up"};
    auto const child = mint_child_ticket(db, config, *ticket, now);
    return {Kind::profile, render(db, config, child.ticket, child.challenge, now), child.ticket.id};
  });
}

EnrollOutcome enroll_openly(sys::Db& db, Config const& config, bool mint, sys::Time now) {
  if (!config.open_enrollment) return {};
  if (!mint) return {EnrollOutcome::Kind::profile};
  return db.transaction([&]() -> EnrollOutcome {
    auto const open = mint_open_ticket(db, config, now);
    sys::crash_point("ticket-minted");
    return {EnrollOutcome::Kind::profile, render(db, config, open.ticket, open.challenge, now),
            open.ticket.id};
  });
}

std::vector<proto::TrustAnchor> https_anchors(Config const& config) {
  if (config.https_ca_file.empty()) return {};
  try {
    std::vector<proto::TrustAnchor> anchors;
    for (auto const& cert : sys::Cert::read_all(sys::read_file(config.https_ca_file)))
      anchors.push_back({cert.der(), cert.subject_value("CN").value_or(cert.subject())});
    return anchors;
  } catch (Error const& error) {
    // A file of ours: whoever asked has no part in what is wrong with it.
    throw Error(Fault::internal, "https-ca-file " + config.https_ca_file + ": " + error.what());
  }
}

std::optional<std::string> trust_profile(Config const& config) {
  auto const anchors = https_anchors(config);
  if (anchors.empty()) return std::nullopt;
  return proto::trust_profile(proto::profile_identifier(config.server_url, "trust"), config.organization,
                              anchors);
}

std::string service_config(Config const& config) {
  nlohmann::ordered_json answer = nlohmann::ordered_json::object();
  if (!config.https_ca_file.empty()) answer["trust_profile_url"] = config.server_url + "/trust";
  return answer.dump();
}

}  // namespace service
