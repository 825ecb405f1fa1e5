#include "service/renew.hpp"

#include <algorithm>

#include "service/enqueue.hpp"
#include "service/enrollment.hpp"
#include "store/certificates.hpp"
#include "store/commands.hpp"
#include "store/enrollments.hpp"
#include "store/events.hpp"
#include "store/push.hpp"
#include "store/queue.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::Enrollment;
using store::EnrollmentState;
using sys::Error;
using sys::Fault;

// When the last identity by which the device could fetch anything stops being let in.
std::optional<sys::Time> heard_until(sys::Db& db, Config const& config, Enrollment const& row) {
  std::optional<sys::Time> until;
  store::CertFilter filter;
  filter.enrollment_id = row.id;
  filter.status = store::CertStatus::issued;
  bool const has_grace = row.auth == proto::AuthKind::tls;
  for (auto const& cert : store::list_certificates(db, store::CertView::device, filter)) {
    auto const end = has_grace ? cert.not_after + config.identity_grace : cert.not_after;
    until = until ? std::max(*until, end) : end;
  }
  return until;
}

void require_reachable(sys::Db& db, Config const& config, Enrollment const& row, sys::Time now) {
  if (row.frozen) {
    throw Error(Fault::conflict, "enrolment " + row.external_id +
                                     " is frozen by an identity conflict and gets no command; decide it with "
                                     "`pomona enrollment resolve` first");
  }
  if (!row.profile_id) {
    throw Error(Fault::not_found, "enrolment " + row.external_id +
                                      ": the profile it was enrolled with is not known here, so it cannot be "
                                      "renewed; enrol the device again");
  }
  auto const until = heard_until(db, config, row);
  if (!until || *until < now) {
    throw Error(Fault::conflict,
                "enrolment " + row.external_id + ": its identity is refused" +
                    (until ? " since " + sys::iso_time(*until) : std::string()) +
                    ", so it cannot fetch a renewal; enrol the device again with `pomona ticket new --for " +
                    row.external_id + "`");
  }
}

void record(sys::Db& db, RenewalWish const& wish, Enrollment const& row, std::string const& uuid,
            sys::Time now) {
  store::Event event{"command.enqueued", wish.who};
  event.external_id = row.external_id;
  event.enrollment_id = row.id;
  event.command_uuid = uuid;
  event.detail = "renewal of the identity";
  store::record_event(db, event, now);
}

}  // namespace

QueuedRenewal queue_renewal(sys::Db& db, Config const& config, RenewalWish const& wish, sys::Time now) {
  return db.transaction([&] {
    auto const named = find_device_channel(db, wish.id, EnrollmentState::current);
    auto const row = store::find_enrollment(db, named.id, store::Lock::update);
    if (!row || row->state != EnrollmentState::current)
      throw Error(Fault::conflict, "enrolment " + wish.id + " has just ended");
    require_reachable(db, config, *row, now);
    if (wish.push) store::mark_push_due(db, row->id, now);
    if (auto uuid = store::outstanding_rendered(db, row->id, store::kRenewRenderer))
      return QueuedRenewal{row->external_id, *std::move(uuid), true};
    std::string const uuid = sys::random_uuid();
    auto const command = store::insert_rendered(
        db, {uuid, "InstallProfile", std::string(store::kRenewRenderer)}, wish.who, now);
    store::add_to_queue(db, {row->id, command, kUsualPriority}, now);
    record(db, wish, *row, uuid, now);
    return QueuedRenewal{row->external_id, uuid, false};
  });
}

}  // namespace service
