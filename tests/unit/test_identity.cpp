#include <catch2/catch.hpp>

#include "service/authenticate.hpp"
#include "service/identity.hpp"
#include "sys/error.hpp"

namespace {

using service::NewcomerEffect;
using service::Reenrollment;
using service::Ruling;
using store::CertStatus;
using store::EnrollmentState;

auto const kNow = sys::from_unix(1'800'000'000);
constexpr sys::seconds kHour{3600};
constexpr sys::seconds kOverlap{24 * 3600};
constexpr sys::seconds kGrace{180 * 24 * 3600};

// An admitted sender; each test changes one thing.
struct Fixture {
  store::Sender sender;
  service::Presented presented;
  proto::Ids ids;

  Fixture() {
    store::Sender::Identity identity;
    identity.id = 1;
    identity.status = CertStatus::issued;
    identity.not_before = kNow - kHour;
    identity.not_after = kNow + kHour;
    sender.identity = identity;
    store::Sender::DeviceChannel device;
    device.external_id = "U";
    sender.device = device;
    ids.device = "U";
  }
  [[nodiscard]] service::Verdict judge() const {
    service::Config config;
    config.identity_overlap = kOverlap;
    config.identity_grace = kGrace;
    return service::judge_sender(sender, presented, ids, config, kNow);
  }
};

// Expired a second ago.
Fixture expired() {
  Fixture f;
  f.sender.identity->not_after = kNow - sys::seconds(1);
  return f;
}

store::Ticket open_ticket() {
  store::Ticket ticket;
  ticket.topic = "T";
  return ticket;
}

proto::Ids device_ids() {
  proto::Ids ids;
  ids.device = "U";
  return ids;
}

proto::Authenticate message(std::optional<std::string> serial = {}) {
  proto::Authenticate said;
  said.topic = "T";
  said.serial_number = std::move(serial);
  return said;
}

NewcomerEffect decide(service::Newcomer const& facts, Reenrollment reenrollment = Reenrollment::approve,
                      proto::Authenticate const& said = message()) {
  return service::decide_newcomer(facts, device_ids(), said, proto::AuthKind::tls, reenrollment).effect;
}

store::Enrollment standing(EnrollmentState state = EnrollmentState::current) {
  store::Enrollment row;
  row.external_id = "U";
  row.state = state;
  return row;
}

}  // namespace

TEST_CASE("A bound, current, valid identity is served") { CHECK(Fixture().judge().ruling == Ruling::serve); }

TEST_CASE("An identity counts by its state and its dates") {
  Fixture unknown;
  unknown.sender.identity.reset();
  CHECK(unknown.judge().ruling == Ruling::refuse);
  CHECK(unknown.judge().event.empty());
  for (auto const status : {CertStatus::pending, CertStatus::revoked, CertStatus::retired}) {
    Fixture f;
    f.sender.identity->status = status;
    CHECK(f.judge().ruling == Ruling::refuse);
  }
  Fixture early;
  early.sender.identity->not_before = kNow + sys::seconds(1);
  CHECK(early.judge().ruling == Ruling::refuse);
  Fixture late;
  late.sender.identity->not_after = kNow - kGrace - sys::seconds(1);
  CHECK(late.judge().ruling == Ruling::refuse);
}

TEST_CASE("An expired identity is heard for its renewal, for the grace and over TLS only") {
  CHECK(expired().judge().ruling == Ruling::renew_only);
  CHECK(expired().judge().expired);
  Fixture last = expired();
  last.sender.identity->not_after = kNow - kGrace;
  CHECK(last.judge().ruling == Ruling::renew_only);
  Fixture distrusted = expired();
  distrusted.presented.distrust = "FAILED:certificate has expired";
  CHECK(distrusted.judge().ruling == Ruling::renew_only);
  Fixture valid;
  valid.presented.distrust = "FAILED:certificate has expired";
  CHECK(valid.judge().ruling == Ruling::refuse);
  Fixture early;
  early.sender.identity->not_before = kNow + sys::seconds(1);
  early.presented.distrust = "FAILED:certificate is not yet valid";
  CHECK(early.judge().ruling == Ruling::refuse);
  Fixture signed_one = expired();
  signed_one.sender.device->auth = proto::AuthKind::signature;
  CHECK(signed_one.judge().ruling == Ruling::refuse);
  signed_one.presented.proof = proto::AuthKind::signature;
  CHECK(signed_one.judge().ruling == Ruling::refuse);
  Fixture unbound = expired();
  unbound.sender.device.reset();
  CHECK(unbound.judge().ruling == Ruling::refuse);
  Fixture other = expired();
  other.ids.device = "V";
  CHECK(other.judge().ruling == Ruling::refuse);
}

TEST_CASE("Only an enrolment that is served has a grace, and a retiring identity only settles in it") {
  for (auto const state : {EnrollmentState::pending, EnrollmentState::replaced, EnrollmentState::checked_out,
                           EnrollmentState::disabled, EnrollmentState::rejected}) {
    Fixture f = expired();
    f.sender.device->state = state;
    CHECK(f.judge().ruling == Ruling::refuse);
    CHECK_FALSE(f.judge().freeze);
  }
  Fixture frozen = expired();
  frozen.sender.device->frozen = true;
  CHECK(frozen.judge().ruling == Ruling::refuse);
  for (auto const status : {CertStatus::revoked, CertStatus::retired, CertStatus::pending}) {
    Fixture f = expired();
    f.sender.identity->status = status;
    CHECK(f.judge().ruling == Ruling::refuse);
  }
  Fixture retiring = expired();
  retiring.sender.identity->status = CertStatus::retiring;
  retiring.sender.identity->retiring_at = kNow;
  CHECK(retiring.judge().ruling == Ruling::hold_back);
  CHECK(retiring.judge().expired);
}

TEST_CASE("A retiring identity is held back for the overlap, then it is a conflict") {
  Fixture f;
  f.sender.identity->status = CertStatus::retiring;
  f.sender.identity->retiring_at = kNow - kOverlap;
  CHECK(f.judge().ruling == Ruling::hold_back);
  f.sender.identity->retiring_at = kNow - kOverlap - sys::seconds(1);
  CHECK(f.judge().ruling == Ruling::refuse);
  CHECK(f.judge().event == "identity.conflict");
  CHECK_FALSE(f.judge().freeze);
}

TEST_CASE("An identity speaks for the enrolment it is bound to and no other") {
  Fixture unbound;
  unbound.sender.device.reset();
  CHECK(unbound.judge().event == "identity.refused");
  Fixture other;
  other.ids.device = "V";
  CHECK(other.judge().event == "identity.refused");
  Fixture kind;
  kind.ids.channel = proto::Channel::user_enrollment_device;
  CHECK(kind.judge().event == "identity.refused");
  Fixture user;
  user.ids.channel = proto::Channel::user;
  user.ids.user = "W";
  CHECK(user.judge().ruling == Ruling::serve);
}

TEST_CASE("A signature never identifies a TLS enrolment, TLS may identify a signature enrolment") {
  Fixture f;
  f.presented.proof = proto::AuthKind::signature;
  CHECK(f.judge().event == "identity.refused");
  f.sender.device->auth = proto::AuthKind::signature;
  CHECK(f.judge().ruling == Ruling::serve);
  f.presented.proof = proto::AuthKind::tls;
  CHECK(f.judge().ruling == Ruling::serve);
}

TEST_CASE("The state of the enrolment decides") {
  auto const judged = [](EnrollmentState state) {
    Fixture f;
    f.sender.device->state = state;
    return f.judge();
  };
  CHECK(judged(EnrollmentState::pending).ruling == Ruling::hold_back);
  CHECK(judged(EnrollmentState::replaced).freeze);
  CHECK(judged(EnrollmentState::checked_out).checked_out);
  CHECK(judged(EnrollmentState::disabled).ruling == Ruling::refuse);
  CHECK(judged(EnrollmentState::rejected).ruling == Ruling::refuse);
  Fixture frozen;
  frozen.sender.device->frozen = true;
  CHECK(frozen.judge().ruling == Ruling::hold_back);
}

TEST_CASE("A signing time of another hour keeps commands and tokens back") {
  service::Presented presented;
  CHECK(service::signed_in_time(presented, kNow));
  CHECK(service::is_fresh(presented, kNow));
  presented.proof = proto::AuthKind::signature;
  CHECK(service::signed_in_time(presented, kNow));
  CHECK_FALSE(service::is_fresh(presented, kNow));
  for (auto const& [skew, good] : std::vector<std::pair<int, bool>>{
           {0, true}, {3600, true}, {-3600, true}, {3601, false}, {-3601, false}}) {
    presented.signing_time = kNow + sys::seconds(skew);
    CHECK(service::signed_in_time(presented, kNow) == good);
    CHECK(service::is_fresh(presented, kNow) == good);
  }
}

TEST_CASE("Only a good handshake or a signature proves anything") {
  CHECK_THROWS_AS(service::present({"NONE", "", ""}, "body"), sys::Error);
  CHECK_THROWS_AS(service::present({"FAILED:certificate has expired", "x", "x"}, "body"), sys::Error);
  CHECK_THROWS_AS(service::present({"SUCCESS", "%zz", ""}, "body"), sys::Error);
  CHECK_THROWS_AS(service::present({"SUCCESS", std::string(40'000, 'x'), ""}, "body"), sys::Error);
  CHECK_THROWS_AS(service::present({"NONE", "", std::string(40'000, 'x')}, "body"), sys::Error);
  CHECK_THROWS_AS(service::present({"success", "", ""}, "body"), sys::Error);
}

TEST_CASE("A newcomer needs a ticket that fits") {
  service::Newcomer facts;
  CHECK(decide(facts) == NewcomerEffect::refuse);
  facts.ticket = open_ticket();
  CHECK(decide(facts) == NewcomerEffect::enroll);
  facts.ticket->topic = "other";
  CHECK(decide(facts) == NewcomerEffect::refuse);
  facts.ticket = open_ticket();
  facts.ticket->state = store::TicketState::closed;
  CHECK(decide(facts) == NewcomerEffect::refuse);
  facts.ticket->identity = store::TicketIdentity::pkcs12;
  CHECK(decide(facts) == NewcomerEffect::enroll);
  facts.ticket->state = store::TicketState::revoked;
  CHECK(decide(facts) == NewcomerEffect::refuse);
  facts.ticket = open_ticket();
  facts.ticket->purpose = store::TicketPurpose::renew;
  CHECK(decide(facts) == NewcomerEffect::refuse);
}

TEST_CASE("A value that a ticket names must be said, and be the same") {
  service::Newcomer facts;
  facts.ticket = open_ticket();
  facts.ticket->bind_serial = "S";
  CHECK(decide(facts) == NewcomerEffect::refuse);
  CHECK(decide(facts, Reenrollment::approve, message("X")) == NewcomerEffect::refuse);
  CHECK(decide(facts, Reenrollment::approve, message("S")) == NewcomerEffect::enroll);
  facts.ticket = open_ticket();
  facts.ticket->bind_udid = "V";
  CHECK(decide(facts) == NewcomerEffect::refuse);
  facts.ticket = open_ticket();
  facts.ticket->enrollment_id = 7;
  CHECK(decide(facts) == NewcomerEffect::refuse);
  facts.named_device = "V";
  CHECK(decide(facts) == NewcomerEffect::refuse);
  facts.named_device = "U";
  CHECK(decide(facts) == NewcomerEffect::enroll);
}

TEST_CASE("An unbound ticket for a live device waits, or replaces where that is allowed") {
  service::Newcomer facts;
  facts.ticket = open_ticket();
  facts.standing = standing();
  CHECK(decide(facts) == NewcomerEffect::wait);
  CHECK(decide(facts, Reenrollment::allow) == NewcomerEffect::enroll);
  facts.standing->frozen = true;
  CHECK(decide(facts, Reenrollment::allow) == NewcomerEffect::wait);
  facts.standing = standing(EnrollmentState::disabled);
  CHECK(decide(facts, Reenrollment::allow) == NewcomerEffect::wait);
  facts.ticket->bind_udid = "U";
  CHECK(decide(facts) == NewcomerEffect::enroll);
}
