#include "service/ca_keys.hpp"

#include <chrono>

#include "sys/error.hpp"

namespace service {

namespace {

constexpr std::chrono::seconds kLookEvery{5};

[[noreturn]] void no_ca() {
  throw sys::Error(sys::Fault::unavailable,
                   "there is no active device CA with an RA certificate; `pomona ca init` makes one");
}

}  // namespace

CaKeys::Active const& CaKeys::active(sys::Db& db, sys::Time now) {
  bool const fresh = now >= looked_at_ && now - looked_at_ < kLookEvery;
  return active_ && fresh ? *active_ : look(db, now);
}

CaKeys::Active const& CaKeys::active_again(sys::Db& db, sys::Time now) { return look(db, now); }

CaKeys::Active const& CaKeys::look(sys::Db& db, sys::Time now) {
  auto const ca = store::active_ca(db, store::CertView::ca);
  if (!ca) no_ca();
  auto const ra = store::active_ra(db, ca->id, store::CertView::ca);
  if (!ra && !(ca->der && is_one_certificate(sys::Cert::from_der(*ca->der)))) no_ca();
  looked_at_ = now;
  if (active_ && active_->ca.id == ca->id && active_->ra.id == (ra ? ra->id : ca->id)) return *active_;
  auto const ca_key = load_ca_key(db, domain_, *ca);
  return active_.emplace(Active{ca_key, ra ? load_ca_key(db, domain_, *ra) : ca_key});
}

CaKey const& CaKeys::issuer(sys::Db& db, std::int64_t ca_id) {
  if (active_ && active_->ca.id == ca_id) return active_->ca;
  auto found = older_.find(ca_id);
  if (found == older_.end()) {
    auto const row = store::find_certificate(db, store::CertView::ca, ca_id);
    if (!row) throw sys::Error(sys::Fault::internal, "issue: the CA of a pending certificate is gone");
    found = older_.emplace(ca_id, load_ca_key(db, domain_, *row)).first;
  }
  return found->second;
}

}  // namespace service
