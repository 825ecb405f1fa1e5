#include "service/push_mdmcert.hpp"

#include <algorithm>

#include "proto/mdmcert.hpp"
#include "service/kept_key.hpp"
#include "service/push_staging.hpp"
#include "store/certificates.hpp"
#include "store/events.hpp"
#include "store/secrets.hpp"
#include "sys/cms.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/http_client.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using store::CertStatus;
using store::CertView;
using sys::Error;
using sys::Fault;

constexpr char const* kKind = "mdmcert";
constexpr char const* kAsking = "ask mdmcert.download: ";
constexpr char const* kReading = "read the answer of mdmcert.download: ";

struct Encryption {
  std::int64_t id = 0;
  sys::Cert cert;
};

// What the answer is encrypted to: a certificate of a year, in the form that the service asks for.
Encryption stage_encryption(sys::Db& db, sys::KeyRing const& push_key, sys::Time now) {
  constexpr unsigned kBits = 2048;
  constexpr sys::seconds kYear{365 * 86400};
  auto const key = sys::Key::generate_rsa(kBits);
  sys::CertTemplate wanted;
  wanted.subject = {{"CN", "mdmcert.download"}};
  wanted.serial = sys::random_serial();
  wanted.not_before = now;
  wanted.not_after = now + kYear;
  wanted.key_usage = sys::kDigitalSignature | sys::kKeyEncipherment;
  auto const cert = sys::issue(wanted, key, std::nullopt, key);
  return db.transaction([&] {
    // Those of earlier requests wait for nothing now that an admin would need to watch; they still decrypt.
    for (auto const& row :
         store::list_certificates(db, CertView::all, {.kind = kKind, .status = CertStatus::active}))
      store::set_certificate_status(db, CertView::all, row.id, CertStatus::retired, now);
    auto const row = store::certificate_row(kKind, CertStatus::active, cert);
    return Encryption{keep_certificate(db, push_key, CertView::all, row, key, now), cert};
  });
}

// Takes back what was staged for a request that the service refused. Where it is not known what became of the
// request, nothing is taken back: the signed one may be in the mail already, and is worth nothing without its
// keys.
void unstage(sys::Db& db, sys::KeyRing const& push_key, sys::Csr const& csr, Encryption const& encryption,
             sys::Time now) {
  db.transaction([&] {
    store::set_certificate_status(db, CertView::all, encryption.id, CertStatus::retired, now);
    auto const row = store::find_push_request(db, sys::sha256(csr.public_key().public_der()));
    if (!row) return;
    store::delete_push_request(db, row->id);
    store::delete_secret(db, push_key, row->secret_id);
  });
}

sys::HttpResponse ask(Config const& config, proto::MdmcertRequest const& request) {
  sys::HttpOptions options;
  options.ca_file = config.mdmcert_ca_file;
  sys::HttpClient client(options);
  sys::HttpRequest post;
  post.method = "POST";
  post.url = config.mdmcert_url;
  post.headers = {{"content-type", "application/json"}, {"user-agent", "pomona/" POMONA_VERSION}};
  post.body = proto::write_mdmcert_request(request).str();
  return client.perform(post);
}

sys::SecretBytes product_key(Config const& config) {
  if (config.mdmcert_key_file.empty()) {
    throw Error(
        Fault::not_found,
        std::string(kAsking) +
            "mdmcert-key-file is not set. The service knows products by a key: ask its operators for one, "
            "put it into a file and name that in the configuration");
  }
  return sys::read_secret_file(config.mdmcert_key_file);
}

std::optional<std::string> decrypt(sys::Db& db, sys::KeyRing const& push_key, std::string const& bytes,
                                   sys::Time now) {
  auto rows = store::list_certificates(db, CertView::all, {.kind = kKind});
  std::reverse(rows.begin(), rows.end());
  for (auto const& row : rows) {
    if (!row.der || !row.secret_id) continue;
    auto const cert = sys::Cert::from_der(*row.der);
    auto const pem = open_kept_key(db, push_key, row);
    auto text = sys::decrypt_enveloped(bytes, cert, sys::Key::read_private(pem.view()));
    if (!text) continue;
    store::set_certificate_status(db, CertView::all, row.id, CertStatus::retired, now);
    return text;
  }
  return std::nullopt;
}

bool is_staged(sys::Db& db, proto::PushRequestText const& request) {
  auto const der = sys::unbase64(request.csr);
  if (!der) return false;
  auto const spki = sys::sha256(sys::Csr::from_der(*der).public_key().public_der());
  return store::find_push_request(db, spki).has_value();
}

}  // namespace

sys::Csr request_from_mdmcert(sys::Db& db, sys::KeyRing const& push_key, Config const& config,
                              sys::NameParts const& subject, std::string const& email, std::string const& who,
                              sys::Time now) {
  auto const key = product_key(config);
  auto csr = stage_request(db, push_key, StagedKind::push, subject, who, now);
  auto const encryption = stage_encryption(db, push_key, now);
  auto const response = ask(config, {csr.pem(), encryption.cert.pem(), email, key});
  auto const refused =
      response.status == 0 ? response.error : proto::read_mdmcert_answer(response.status, response.body);
  if (refused.empty()) return csr;
  constexpr long kServerError = 500;
  if (response.status == 0 || response.status >= kServerError) {
    throw Error(
        Fault::unavailable,
        kAsking + config.mdmcert_url + " does not answer as it should: " + refused +
            ". Whether it took the request is not known, so the keys are kept. If its e-mail comes, go "
            "on with that; else repeat this");
  }
  unstage(db, push_key, csr, encryption, now);
  throw Error(Fault::upstream,
              kAsking + refused + ". The e-mail address must be one registered at mdmcert.download");
}

MdmcertAnswer decrypt_mdmcert(sys::Db& db, sys::KeyRing const& push_key, std::string_view file,
                              sys::Time now) {
  auto text = decrypt(db, push_key, proto::read_encrypted_request(file), now);
  if (!text) {
    throw Error(
        Fault::not_found,
        std::string(kReading) +
            "it was encrypted to a key that is not here: it answers a request of another server, or is no "
            "answer of that service. `pomona push-cert mdmcert-request` asks anew");
  }
  auto const request = proto::read_push_request(*text);
  auto const vendor = proto::push_request_chain(request).front();
  if (vendor.not_after() < now) {
    throw Error(
        Fault::conflict,
        std::string(kReading) + "the service's vendor certificate " + sys::escape_controls(vendor.subject()) +
            " expired on " + sys::certbot_time(vendor.not_after()) +
            ", so Apple's portal would refuse the request. Nothing was written. The service's operators "
            "must renew it; then ask anew with `pomona push-cert mdmcert-request`");
  }
  return {std::string(sys::trim(*text)), vendor, is_staged(db, request),
          proto::check_push_request(*text, now)};
}

}  // namespace service
