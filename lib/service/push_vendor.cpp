#include "service/push_vendor.hpp"

#include <algorithm>

#include "service/kept_key.hpp"
#include "service/push_staging.hpp"
#include "store/events.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::CertificateRow;
using store::CertStatus;
using store::CertView;
using sys::Error;
using sys::Fault;

constexpr char const* kKind = "vendor";
constexpr char const* kDoing = "sign push certificate request: ";

VendorImport import_within(sys::Db& db, sys::KeyRing const& push_key, KeyedCert const& vendor,
                           sys::Time now) {
  VendorImport out;
  out.sha256 = vendor.cert.sha256();
  for (auto const& row :
       store::list_certificates(db, CertView::all, {.kind = kKind, .status = CertStatus::active})) {
    if (row.sha256 == out.sha256) {
      out.unchanged = kept_key_opens(db, push_key, row);
      continue;
    }
    store::set_certificate_status(db, CertView::all, row.id, CertStatus::retired, now);
    out.replaced = row;
  }
  if (!out.unchanged) {
    CertificateRow row = store::certificate_row(kKind, CertStatus::active, vendor.cert);
    if (!vendor.chain.empty()) row.chain = vendor.chain;
    keep_certificate(db, push_key, CertView::all, row, vendor.key, now);
  }
  end_staging(db, push_key, vendor.cert);
  return out;
}

CertificateRow active_vendor(sys::Db& db) {
  auto rows = store::list_certificates(db, CertView::all, {.kind = kKind, .status = CertStatus::active});
  if (rows.empty() || !rows.back().der || !rows.back().secret_id) {
    throw Error(
        Fault::not_found,
        std::string(kDoing) +
            "there is no MDM vendor certificate here. `pomona push-cert vendor-request` makes the request "
            "for developer.apple.com; then `pomona push-cert import mdm.cer`");
  }
  return std::move(rows.back());
}

std::vector<sys::Cert> chain_of(sys::Cert const& vendor, CertificateRow const& row, SigningWish const& wish,
                                sys::Time now) {
  auto pool = wish.pool;
  if (row.chain) {
    auto const with_it = sys::Cert::read_all(*row.chain);
    pool.insert(pool.end(), with_it.begin(), with_it.end());
  }
  auto chain = proto::build_vendor_chain(vendor, pool, now);
  if (!proto::is_complete_chain(chain)) {
    throw Error(
        Fault::not_found,
        std::string(kDoing) + "the certificate of " + chain.back().issuer() + ", which issued that of " +
            chain.back().subject() +
            ", is not at hand. Download it from apple.com/certificateauthority, put it (PEM) with Apple Root "
            "CA into one file and name that with --chain or apple-chain-file");
  }
  return chain;
}

void check_csr(sys::Csr const& csr) {
  if (!csr.verify()) {
    throw Error(
        Fault::bad_request,
        std::string(kDoing) + "the certificate request is not signed with its own key: it was altered");
  }
  if (auto const weak = csr.weakness()) {
    throw Error(Fault::bad_request, kDoing + *weak + "; Apple wants RSA-2048 and SHA-256");
  }
}

void record_signed(sys::Db& db, sys::Csr const& csr, SigningWish const& wish, std::string const& who,
                   sys::Time now) {
  store::Event event{"push-cert.signed", who};
  event.detail = (wish.customer.empty() ? std::string() : "customer " + wish.customer + ", ") +
                 "request of " + csr.subject() + ", SHA-256 " + sys::hex(sys::sha256(csr.der()));
  store::record_event(db, event, now);
}

}  // namespace

VendorImport import_vendor_certificate(sys::Db& db, sys::KeyRing const& push_key, KeyedCert const& vendor,
                                       std::string const& who, sys::Time now) {
  return db.transaction([&] {
    auto out = import_within(db, push_key, vendor, now);
    if (!out.unchanged) {
      store::Event event{"push-cert.vendor-imported", who};
      event.certificate_sha256 = out.sha256;
      event.detail = vendor.cert.subject() + ", expires " + sys::iso_time(vendor.cert.not_after());
      store::record_event(db, event, now);
    }
    return out;
  });
}

std::string wrong_findings(std::vector<proto::PushRequestFinding> const& findings) {
  std::string out;
  for (auto const& finding : findings) {
    if (!finding.good) out += (out.empty() ? "" : "; ") + finding.text;
  }
  return out;
}

std::string sign_push_request(sys::Db& db, sys::KeyRing const& push_key, sys::Csr const& csr,
                              SigningWish const& wish, std::string const& who, sys::Time now) {
  check_csr(csr);
  auto const row = active_vendor(db);
  auto const vendor = sys::Cert::from_der(*row.der);
  auto const chain = chain_of(vendor, row, wish, now);
  auto const pem = open_kept_key(db, push_key, row);
  auto const key = sys::Key::read_private(pem.view());
  auto file = proto::write_push_request(csr.der(), chain, sys::sign_rsa(key, wish.digest, csr.der()));
  auto const wrong = wrong_findings(proto::check_push_request(file, now));
  if (!wrong.empty()) {
    throw Error(Fault::conflict, kDoing + ("Apple's portal would refuse it: " + wrong));
  }
  db.transaction([&] { record_signed(db, csr, wish, who, now); });
  return file;
}

std::vector<proto::PushRequestFinding> verify_push_request(std::string_view file,
                                                           std::vector<sys::Cert> const& roots,
                                                           sys::Time now) {
  auto findings = proto::check_push_request(file, now);
  if (roots.empty()) return findings;
  try {
    auto const root = proto::push_request_chain(proto::read_push_request(file)).back().sha256();
    bool const known =
        std::any_of(roots.begin(), roots.end(), [&](auto const& c) { return c.sha256() == root; });
    findings.push_back(
        {known, known ? "its root is one of the chain file's"
                      : "its root is none of the chain file's: only a chain to Apple Root CA is taken"});
  } catch (Error const&) {
    return findings;  // told already
  }
  return findings;
}

}  // namespace service
