// Rows of tickets and certificates: the life of an identity, against a real server with the real schema.
#include <cstdlib>

#include <catch2/catch.hpp>

#include "store/certificates.hpp"
#include "store/migrations.hpp"
#include "store/tickets.hpp"
#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace {

sys::Time const kNow = *sys::parse_sql_time("2027-01-02 03:04:05.678901");
sys::Time const kLater = kNow + std::chrono::hours(1);

sys::Db connect() {
  char const* socket = std::getenv("POMONA_TEST_MYSQL_SOCKET");
  REQUIRE(socket != nullptr);
  sys::Db db({socket, "root", {}, "pomona"});
  store::migrate(db, "test", kNow, [](std::string const&) {});
  db.execute("DELETE FROM certificates");
  db.execute("DELETE FROM tickets");
  return db;
}

store::Ticket some_ticket() {
  store::Ticket ticket;
  ticket.uuid = sys::random_uuid();
  ticket.challenge_sha256 = sys::random_bytes(32);
  ticket.topic = "com.apple.mgmt.External.t";
  ticket.attempts_left = 2;
  ticket.expires_at = kLater;
  ticket.created_at = kNow;
  ticket.created_by = "cli:test";
  return ticket;
}

std::int64_t identity(sys::Db& db, std::optional<std::int64_t> enrollment, store::CertStatus status) {
  store::CertificateRow row;
  row.kind = "identity";
  row.status = status;
  row.serial = sys::random_bytes(16);
  row.subject = row.issuer = "CN=x";
  if (status != store::CertStatus::pending) {
    row.der = "der";
    row.sha256 = sys::random_bytes(32);
  }
  row.spki_sha256 = sys::random_bytes(32);
  row.not_before = row.created_at = kNow;
  row.not_after = kLater;
  row.enrollment_id = enrollment;
  return store::insert_certificate(db, store::CertView::device, row);
}

store::CertificateRow row_of(sys::Db& db, std::int64_t id) {
  auto row = store::find_certificate(db, store::CertView::device, id);
  REQUIRE(row.has_value());
  return row.value_or(store::CertificateRow());
}

}  // namespace

TEST_CASE("a ticket is found by number, secret and challenge as it was put in") {
  auto db = connect();
  auto ticket = some_ticket();
  ticket.secret_sha256 = sys::random_bytes(32);
  ticket.purpose = store::TicketPurpose::renew;
  ticket.auth = proto::AuthKind::signature;
  ticket.identity = store::TicketIdentity::pkcs12;
  ticket.bind_serial = "C02";
  ticket.enrollment_id = 77;
  ticket.uses = ticket.uses_left = 5;
  auto const id = store::insert_ticket(db, ticket);
  for (auto const& found :
       {store::find_ticket(db, id), store::find_ticket_by_secret(db, *ticket.secret_sha256),
        store::find_ticket_by_challenge(db, ticket.challenge_sha256)}) {
    REQUIRE(found.has_value());
    CHECK(found->id == id);
    CHECK(found->purpose == store::TicketPurpose::renew);
    CHECK(found->state == store::TicketState::open);
    CHECK(found->auth == proto::AuthKind::signature);
    CHECK(found->identity == store::TicketIdentity::pkcs12);
    CHECK(found->bind_serial == "C02");
    CHECK_FALSE(found->bind_udid.has_value());
    CHECK(found->enrollment_id == 77);
    CHECK(found->expires_at == kLater);
  }
  CHECK_THROWS_AS(store::insert_ticket(db, ticket), sys::Error);
  CHECK_FALSE(store::find_ticket_by_challenge(db, sys::random_bytes(32)).has_value());
}

TEST_CASE("uses and attempts run out, and a revoked ticket takes its children along") {
  auto db = connect();
  auto const parent = store::insert_ticket(db, some_ticket());
  auto child = some_ticket();
  child.parent_id = parent;
  auto const child_id = store::insert_ticket(db, child);
  CHECK(store::take_ticket_use(db, parent));
  CHECK_FALSE(store::take_ticket_use(db, parent));
  CHECK(store::take_ticket_attempt(db, parent));
  CHECK(store::take_ticket_attempt(db, parent));
  CHECK_FALSE(store::take_ticket_attempt(db, parent));
  CHECK(store::list_tickets(db, {.state = store::TicketState::open}).front().id == child_id);
  auto const unseen = identity(db, {}, store::CertStatus::issued);
  auto const seen = identity(db, {}, store::CertStatus::issued);
  db.execute("UPDATE certificates SET ticket_id = ?", {child_id});
  store::mark_seen(db, seen, kNow);
  CHECK(store::revoke_ticket(db, parent, kNow));
  CHECK(store::revoke_unseen_of_ticket(db, parent, "ticket-revoked", kNow) == 1);
  CHECK(row_of(db, unseen).status == store::CertStatus::revoked);
  CHECK(row_of(db, seen).status == store::CertStatus::issued);
  CHECK_FALSE(store::revoke_ticket(db, parent, kLater));
  CHECK(store::find_ticket(db, child_id)->state == store::TicketState::revoked);
  CHECK(store::find_ticket(db, parent)->revoked_at == kNow);
  CHECK_FALSE(store::close_ticket(db, parent));
}

TEST_CASE("a pending certificate is stored once, and not when it was revoked in the meantime") {
  auto db = connect();
  auto const key = sys::Key::generate_rsa(2048);
  sys::CertTemplate wanted;
  wanted.subject = {{"CN", "device"}};
  wanted.serial = sys::random_serial();
  wanted.not_before = kNow;
  wanted.not_after = kLater;
  auto const cert = sys::issue(wanted, key, std::nullopt, key);
  auto const id = identity(db, {}, store::CertStatus::pending);
  CHECK(store::store_issued(db, id, cert, kNow));
  CHECK_FALSE(store::store_issued(db, id, cert, kLater));
  auto const found = store::find_identity(db, cert.sha256());
  REQUIRE(found.has_value());
  CHECK(found->status == store::CertStatus::issued);
  CHECK(found->der == cert.der());
  CHECK(found->subject == "CN=device");
  CHECK(found->issued_at == kNow);
  auto const gone = identity(db, {}, store::CertStatus::pending);
  CHECK(store::revoke_certificate(db, store::CertView::device, gone, "superseded", kNow));
  CHECK_FALSE(store::store_issued(db, gone, cert, kNow));
  CHECK_FALSE(store::mark_seen(db, gone, kNow));
}

TEST_CASE("the first message with a renewed identity retires the one in use and revokes those never seen") {
  auto db = connect();
  auto const used = identity(db, 5, store::CertStatus::issued);
  auto const never_seen = identity(db, 5, store::CertStatus::issued);
  auto const pending = identity(db, 5, store::CertStatus::pending);
  auto const renewed = identity(db, {}, store::CertStatus::issued);
  auto const of_another = identity(db, 6, store::CertStatus::issued);
  REQUIRE(store::mark_seen(db, used, kNow));
  CHECK_FALSE(store::mark_seen(db, used, kLater));
  REQUIRE(store::mark_seen(db, of_another, kNow));
  CHECK(store::bind_to_enrollment(db, renewed, 5));
  CHECK(store::bind_to_enrollment(db, renewed, 5));
  CHECK_FALSE(store::bind_to_enrollment(db, renewed, 6));
  store::retire_others(db, 5, renewed, kLater);
  CHECK(row_of(db, used).status == store::CertStatus::retiring);
  CHECK(row_of(db, used).retiring_at == kLater);
  CHECK(row_of(db, used).first_seen_at == kNow);
  CHECK(row_of(db, never_seen).status == store::CertStatus::revoked);
  CHECK(row_of(db, pending).revoke_reason == "superseded");
  CHECK(row_of(db, renewed).status == store::CertStatus::issued);
  CHECK(row_of(db, of_another).status == store::CertStatus::issued);
  CHECK(store::revoke_identities(db, 5, "disabled", kLater) == 2);
}

TEST_CASE("what the public view shows of a CA is what others need of it") {
  auto db = connect();
  store::CertificateRow ca;
  ca.kind = "ca";
  ca.name = "device-ca";
  ca.status = store::CertStatus::active;
  ca.serial = sys::random_bytes(16);
  ca.subject = ca.issuer = "CN=ca";
  ca.der = "der";
  ca.sha256 = sys::random_bytes(32);
  ca.spki_sha256 = sys::random_bytes(32);
  ca.secret_id = sys::random_bytes(16);
  ca.not_before = ca.created_at = kNow;
  ca.not_after = kLater;
  auto const id = store::insert_certificate(db, store::CertView::all, ca);
  auto const found = store::active_ca(db);
  REQUIRE(found.has_value());
  CHECK(found->id == id);
  CHECK(found->der == "der");
  CHECK_FALSE(found->secret_id.has_value());
  CHECK(store::active_ca(db, store::CertView::ca)->secret_id == ca.secret_id);
  store::set_certificate_status(db, store::CertView::all, id, store::CertStatus::retired, kLater);
  CHECK_FALSE(store::active_ca(db).has_value());
  CHECK(store::trusted_cas(db).size() == 1);
  CHECK_THROWS_AS(store::insert_certificate(db, store::CertView::device, ca), sys::Error);
}
