#include <algorithm>

#include "service/scep_operations.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/scep_content.hpp"

namespace service {

namespace {

using proto::FailInfo;
using store::CertificateRow;
using store::CertStatus;
using store::CertView;

// The reason is for the log.
ScepRefusal unknown(std::string reason) { return {FailInfo::bad_cert_id, std::move(reason)}; }

bool in_force(CertificateRow const& row) { return row.status != CertStatus::revoked && row.der; }

void append(ScepCandidates& rows, ScepCandidates more) {
  rows.insert(rows.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

template <typename Predicate>
void drop_if(ScepCandidates& rows, Predicate predicate) {
  rows.erase(std::remove_if(rows.begin(), rows.end(), predicate), rows.end());
}

// Certificates of the signer's key, revoked ones too.
ScepCandidates of_key(sys::Db& db, sys::Cert const& signer) {
  return store::list_certificates(db, CertView::device, {.spki_sha256 = signer.spki_sha256()});
}

bool fits(CertificateRow const& row, sys::IssuerAndSubject const& names) {
  auto const cert = sys::Cert::from_der(row.der.value_or(""));
  bool const subject = row.request_subject_sha256 == sys::sha256(names.subject_der) ||
                       sys::same_name(names.subject_der, cert.subject_der());
  return subject && sys::same_name(names.issuer_der, cert.issuer_der());
}

bool fits(CertificateRow const& row, sys::IssuerAndSerial const& wanted) {
  if (row.serial != wanted.serial) return false;
  return sys::same_name(wanted.issuer_der, sys::Cert::from_der(row.der.value_or("")).issuer_der());
}

// The newest of the candidates that the content names, as `read` reads it.
template <typename Read>
ScepOutcome choose(ScepCandidates const& candidates, std::optional<std::string_view> content, Read read,
                   char const* outcome) {
  if (!content) return unknown("the content cannot be decrypted");
  try {
    auto const wanted = read(*content);
    auto const found = std::find_if(candidates.rbegin(), candidates.rend(),
                                    [&](auto const& row) { return fits(row, wanted); });
    if (found == candidates.rend())
      return unknown("no certificate of that name among those of the signer and the CA");
    return ScepGiven{sys::Cert::from_der(found->der.value_or("")), outcome, found->ticket_id,
                     found->enrollment_id};
  } catch (sys::Error const& error) {
    if (error.fault() != sys::Fault::bad_request) throw;
    return unknown(error.what());
  }
}

}  // namespace

ScepCandidates poll_candidates(ScepContext const& context, ScepSender const& sender) {
  auto rows = of_key(context.db, sender.signer);
  // A renewal is polled for with what signed it: the older certificate.
  if (auto const older = store::find_identity(context.db, sender.signer.sha256()))
    append(rows, store::list_certificates(context.db, CertView::device, {.renews_id = older->id}));
  drop_if(rows,
          [&](auto const& row) { return !in_force(row) || row.transaction_id != sender.transaction_id; });
  return rows;
}

ScepOutcome poll(ScepCandidates const& candidates, std::optional<std::string_view> content) {
  return choose(candidates, content, sys::read_issuer_and_subject, "repeated");
}

ScepCandidates get_cert_candidates(ScepContext const& context, ScepSender const& sender) {
  auto rows = of_key(context.db, sender.signer);
  bool const revoked = std::any_of(rows.begin(), rows.end(), [&](auto const& row) {
    return row.sha256 == sender.signer.sha256() && !in_force(row);
  });
  drop_if(rows, [](auto const& row) { return !in_force(row); });
  if (revoked || rows.empty()) return {};
  ScepCandidates all = rows;
  for (auto const& row : rows) {
    if (row.enrollment_id)
      append(all,
             store::list_certificates(context.db, CertView::device, {.enrollment_id = row.enrollment_id}));
  }
  for (auto const* kind : {"ca", "ra"})
    append(all, store::list_certificates(context.db, CertView::ca, {.kind = kind}));
  drop_if(all, [](auto const& row) { return !in_force(row); });
  return all;
}

ScepOutcome get_cert(ScepCandidates const& candidates, std::optional<std::string_view> content) {
  return choose(candidates, content, sys::read_issuer_and_serial, "given");
}

}  // namespace service
