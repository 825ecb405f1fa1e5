#include "service/ca.hpp"

#include <algorithm>
#include <array>
#include <chrono>

#include "store/events.hpp"
#include "store/leases.hpp"
#include "store/secrets.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::CertificateRow;
using store::CertStatus;
using store::CertView;
using sys::Error;
using sys::Fault;

constexpr std::chrono::days kRaLifetime{730};
constexpr std::chrono::minutes kBackdated{10};
constexpr unsigned kRaBits = 2048;
constexpr int kMostDays = 36500;
constexpr unsigned kScepUsage = sys::kDigitalSignature | sys::kKeyEncipherment;

// The purpose of the sealed key: bound to the certificate by its serial number.
std::string key_purpose(CertificateRow const& row) { return row.kind + " key " + sys::hex(row.serial); }

bool is_ec(CaKeyKind kind) { return kind == CaKeyKind::p_256 || kind == CaKeyKind::p_384; }

sys::Key make_key(CaKeyKind kind) {
  switch (kind) {
    case CaKeyKind::rsa_3072:
      return sys::Key::generate_rsa(3072);
    case CaKeyKind::rsa_4096:
      return sys::Key::generate_rsa(4096);
    case CaKeyKind::p_256:
      return sys::Key::generate_ec(sys::Curve::p256);
    case CaKeyKind::p_384:
      return sys::Key::generate_ec(sys::Curve::p384);
    case CaKeyKind::rsa_2048:
      break;
  }
  return sys::Key::generate_rsa(2048);
}

void check_wanted(NewCa const& wanted) {
  auto const fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  constexpr std::size_t kLongestName = 64;
  if (wanted.name.empty() || wanted.name.size() > kLongestName ||
      !std::all_of(wanted.name.begin(), wanted.name.end(), fits)) {
    throw Error(Fault::bad_request, "make CA: the name " + sys::escape_controls(wanted.name) +
                                        " may have a-z, 0-9 and - only, because it stands in URLs");
  }
  if (wanted.days < 1 || wanted.days > kMostDays)
    throw Error(Fault::bad_request, "make CA: a lifetime of 1 to 36500 days is needed");
  if (wanted.one_certificate && is_ec(wanted.key)) {
    throw Error(
        Fault::bad_request,
        "make CA: one certificate for everything needs an RSA key, because SCEP clients encrypt to it; "
        "choose --key rsa-2048, rsa-3072 or rsa-4096, or leave out --one-certificate to have an EC CA "
        "with an RSA certificate for SCEP beside it");
  }
}

// X.520 allows 64 characters for CN and O; cut where a character begins.
std::string short_enough(std::string text, std::size_t reserved) {
  constexpr std::size_t kLongest = 64;
  text = text.substr(0, kLongest - reserved);
  while (!text.empty() && !sys::is_utf8(text)) text.pop_back();
  return text;
}

sys::NameParts subject(std::string const& organization, std::string const& role) {
  return {{"O", short_enough(organization, 0)},
          {"CN", short_enough(organization, role.size() + 1) + ' ' + role}};
}

// Two CAs of one name and different keys would confuse whoever builds chains by name.
std::string role_of_next(sys::Db& db) {
  auto const before = store::list_certificates(db, CertView::all, {.kind = "ca"}).size();
  return before == 0 ? "Device CA" : "Device CA " + std::to_string(before + 1);
}

struct Made {
  sys::Cert cert;
  sys::Key key;
};

Made make_ca(NewCa const& wanted, std::string const& role, sys::Time now) {
  auto key = make_key(wanted.key);
  sys::CertTemplate ca;
  ca.subject = subject(wanted.organization, role);
  ca.serial = sys::random_serial();
  ca.not_before = now - kBackdated;
  ca.not_after = now + std::chrono::days(wanted.days);
  ca.ca = true;
  ca.path_length = 0;
  ca.key_usage = sys::kKeyCertSign | sys::kCrlSign;
  if (wanted.one_certificate) ca.key_usage |= kScepUsage;
  return {sys::issue(ca, key, std::nullopt, key), key};
}

Made make_ra(NewCa const& wanted, Made const& ca, sys::Time now) {
  auto key = sys::Key::generate_rsa(kRaBits);
  sys::CertTemplate ra;
  ra.subject = subject(wanted.organization, "SCEP RA");
  ra.serial = sys::random_serial();
  ra.not_before = now - kBackdated;
  ra.not_after = std::min<sys::Time>(now + kRaLifetime, ca.cert.not_after());
  ra.key_usage = kScepUsage;
  return {sys::issue(ra, key, ca.cert, ca.key), key};
}

CertificateRow put(sys::Db& db, sys::KeyRing const& domain, std::string const& kind, std::string const& name,
                   Made const& made, std::optional<std::int64_t> issuer, sys::Time now) {
  CertificateRow row = store::certificate_row(kind, CertStatus::active, made.cert);
  row.name = name;
  row.issuer_id = issuer;
  row.created_at = now;
  row.issued_at = now;
  row.secret_id = store::put_secret(db, domain, key_purpose(row), made.key.private_der().view(), now);
  row.id = store::insert_certificate(db, CertView::all, row);
  return row;
}

}  // namespace

std::optional<CaKeyKind> find_ca_key_kind(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, CaKeyKind>, 5> kKinds{{{"rsa-2048", CaKeyKind::rsa_2048},
                                                                          {"rsa-3072", CaKeyKind::rsa_3072},
                                                                          {"rsa-4096", CaKeyKind::rsa_4096},
                                                                          {"p-256", CaKeyKind::p_256},
                                                                          {"p-384", CaKeyKind::p_384}}};
  for (auto const& [word, kind] : kKinds)
    if (word == name) return kind;
  return std::nullopt;
}

CaInit init_ca(sys::Db& db, sys::KeyRing const& ca_domain, NewCa const& wanted, std::string const& who,
               sys::Time now) {
  check_wanted(wanted);
  store::Lease lease(db, "ca-init", store::lease_owner());
  if (!lease.held()) throw Error(Fault::unavailable, "make CA: another `pomona ca init` is under way");
  if (auto active = store::active_ca(db, CertView::all)) return {false, *active};
  if (!store::list_certificates(db, CertView::all, {.kind = "ca", .name = wanted.name, .limit = 1}).empty())
    throw Error(Fault::conflict, "make CA: there is a CA named " + wanted.name + "; choose another --name");
  Made const ca = make_ca(wanted, role_of_next(db), now);
  std::optional<Made> ra;
  if (!wanted.one_certificate) ra = make_ra(wanted, ca, now);
  lease.renew();  // large keys take their time
  return db.transaction([&]() -> CaInit {
    if (auto active = store::active_ca(db, CertView::all)) return {false, *active};
    auto const row = put(db, ca_domain, "ca", wanted.name, ca, std::nullopt, now);
    if (ra) put(db, ca_domain, "ra", wanted.name, *ra, row.id, now);
    store::record_event(
        db, {.what = "ca.created", .who = who, .certificate_sha256 = row.sha256, .detail = row.subject}, now);
    return {true, row};
  });
}

std::string trusted_ca_pem(sys::Db& db, CertView view) {
  std::string out;
  for (auto const& row : store::trusted_cas(db, view)) {
    if (row.der) out += sys::Cert::from_der(*row.der).pem();
  }
  if (out.empty()) throw Error(Fault::not_found, "no device CA yet; `pomona ca init` makes one");
  return out;
}

std::vector<CertificateRow> list_cas(sys::Db& db, CertView view, std::optional<std::string> const& name) {
  auto all = store::list_certificates(db, view, {.kind = "ca", .name = name});
  auto const ras = store::list_certificates(db, view, {.kind = "ra", .name = name});
  all.insert(all.end(), ras.begin(), ras.end());
  if (name && all.empty())
    throw Error(Fault::not_found, "no CA is named " + sys::escape_controls(*name) + "; see `pomona ca list`");
  return all;
}

bool is_one_certificate(sys::Cert const& ca) {
  return ca.public_key().is_rsa() && (ca.key_usage() & kScepUsage) == kScepUsage;
}

CaKey load_ca_key(sys::Db& db, sys::KeyRing const& ca_domain, CertificateRow const& row) {
  if (!row.der || !row.secret_id)
    throw Error(Fault::internal,
                "load CA key: " + row.kind + ' ' + row.name.value_or("") + " has no key here");
  auto cert = sys::Cert::from_der(*row.der);
  auto const plain = store::get_secret(db, ca_domain, *row.secret_id, key_purpose(row));
  auto key = sys::Key::read_private(plain.view());
  if (!key.same_public_key(cert.public_key()))
    throw Error(Fault::internal, "load CA key: the key does not belong to " + row.subject);
  return {row.id, cert, key};
}

}  // namespace service
