#include "service/render.hpp"

#include "proto/command.hpp"
#include "proto/profile.hpp"
#include "service/enroll.hpp"
#include "service/ticket.hpp"
#include "store/certificates.hpp"
#include "store/commands.hpp"
#include "store/enrollments.hpp"
#include "store/events.hpp"
#include "store/profiles.hpp"
#include "sys/cms.hpp"
#include "sys/crash_point.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/x509.hpp"

namespace service {

namespace {

using sys::Error;
using sys::Fault;

struct Delivery {
  MdmContext& context;
  Presented const& presented;
  Admission const& admission;
  store::NextCommand const& next;
};

// The enrolment under its lock, if delivery, enrolment and identity still are what the sender was admitted
// by.
std::optional<store::Enrollment> lock_all(Delivery const& delivery) {
  auto& db = delivery.context.db;
  if (!store::lock_delivery(db, delivery.next.queue_id)) return std::nullopt;
  auto row = store::find_enrollment(db, delivery.admission.device.id, store::Lock::update);
  if (!row || row->state != store::EnrollmentState::current || row->frozen) return std::nullopt;
  auto const identity = store::find_identity(db, delivery.presented.sha256);
  if (!identity || identity->status != store::CertStatus::issued || identity->enrollment_id != row->id)
    return std::nullopt;
  return row;
}

proto::FrozenProfile frozen_values(Delivery const& delivery, store::Enrollment const& row,
                                   std::string& root_uuid) {
  auto const profile =
      row.profile_id ? store::find_profile(delivery.context.db, *row.profile_id) : std::nullopt;
  if (!profile) {
    throw Error(Fault::internal, "command " + delivery.next.uuid + ": no profile of enrolment " + row.uuid +
                                     " is kept that it could renew");
  }
  root_uuid = profile->uuid;
  return profile->frozen;
}

bool to_be_encrypted(Delivery const& delivery) {
  switch (delivery.context.config.encrypt_renewal) {
    case EncryptRenewal::always:
      return true;
    case EncryptRenewal::never:
      return false;
    case EncryptRenewal::automatic:
      break;
  }
  return delivery.presented.proof == proto::AuthKind::signature;
}

std::string profile_for(Delivery const& delivery, proto::FrozenProfile const& frozen,
                        proto::FreshProfile const& fresh) {
  if (!to_be_encrypted(delivery)) return proto::enrollment_profile(frozen, fresh);
  auto const recipient = sys::Cert::from_der(delivery.presented.der);
  return proto::encrypted_enrollment_profile(
      frozen, fresh, sys::encrypt_to(proto::enrollment_payloads(frozen, fresh), recipient));
}

void record(Delivery const& delivery, store::Enrollment const& row, store::Ticket const& ticket) {
  store::Event event{"renewal.offered", "pomona-mdm"};
  event.external_id = row.external_id;
  event.enrollment_id = row.id;
  event.certificate_sha256 = delivery.presented.sha256;
  event.command_uuid = delivery.next.uuid;
  event.ticket_id = ticket.id;
  event.detail = "the profile that renews the identity was handed out";
  if (delivery.admission.expired) event.detail += " to an " + delivery.admission.reason;
  store::record_event(delivery.context.db, event, delivery.context.now);
}

// Inside the transaction.
std::optional<std::string> renewal(Delivery const& delivery) {
  auto& context = delivery.context;
  auto const row = lock_all(delivery);
  if (!row) return std::nullopt;
  auto const ca = store::active_ca(context.db);
  if (!ca || !ca->der)
    throw Error(Fault::unavailable, "no CA that could issue identities; run `pomona ca init`");
  proto::FreshProfile fresh;
  auto const frozen = frozen_values(delivery, *row, fresh.root_uuid);
  auto const minted = mint_renewal_ticket(context.db, context.config, context.keys.escrow, *row, context.now);
  sys::crash_point("renewal-minted");
  fresh.identity_uuid = minted.ticket.uuid;
  fresh.organization = context.config.organization;
  fresh.scep_url = context.config.scep_url;
  fresh.scep_name = ca->name.value_or("");
  fresh.challenge = minted.challenge;
  fresh.ca_fingerprint = sys::sha256(*ca->der);
  fresh.trust = https_anchors(context.config);
  if (minted.fresh) record(delivery, *row, minted.ticket);
  return proto::install_profile(delivery.next.uuid, profile_for(delivery, frozen, fresh));
}

}  // namespace

std::optional<std::string> render(MdmContext& context, Presented const& presented, Admission const& admission,
                                  store::NextCommand const& next) {
  if (next.renderer != store::kRenewRenderer) {
    throw Error(Fault::internal,
                "command " + next.uuid + ": nothing renders " + next.renderer.value_or("it"));
  }
  Delivery const delivery{context, presented, admission, next};
  auto rendered = context.db.transaction([&] { return renewal(delivery); });
  sys::crash_point("renewal-rendered");
  return rendered;
}

}  // namespace service
