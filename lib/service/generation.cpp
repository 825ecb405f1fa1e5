#include "service/generation.hpp"

#include "store/certificates.hpp"
#include "store/push_due.hpp"
#include "store/tickets.hpp"

namespace service {

namespace {

void revoke_unseen(sys::Db& db, std::int64_t enrollment_id, sys::Time now) {
  store::CertFilter filter;
  filter.enrollment_id = enrollment_id;
  for (auto const& row : store::list_certificates(db, store::CertView::device, filter)) {
    bool const open = row.status == store::CertStatus::pending || row.status == store::CertStatus::issued;
    if (open && !row.first_seen_at)
      store::revoke_certificate(db, store::CertView::device, row.id, "superseded", now);
  }
}

}  // namespace

void end_generation(sys::Db& db, std::int64_t device_channel_id, store::EnrollmentState as, sys::Time now) {
  store::close_enrollment(db, device_channel_id, as, now);
  store::silence_push(db, device_channel_id);
  store::close_renewal_tickets(db, device_channel_id);
  revoke_unseen(db, device_channel_id, now);
}

void reject_pending(sys::Db& db, std::int64_t device_id, std::optional<std::int64_t> except, sys::Time now) {
  for (auto const& row : store::generations_of(db, device_id)) {
    if (row.state != store::EnrollmentState::pending || row.id == except) continue;
    end_generation(db, row.id, store::EnrollmentState::rejected, now);
    store::revoke_identities(db, row.id, "rejected", now);
  }
}

}  // namespace service
