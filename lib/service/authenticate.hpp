// Authenticate: decided by what the presented certificate was issued for; the first row of the table in
// docs/data-and-trust.md section 3 that matches wins.
#pragma once

#include <optional>
#include <string>

#include "proto/checkin.hpp"
#include "service/config.hpp"
#include "service/identity.hpp"
#include "service/mdm_context.hpp"
#include "store/enrollments.hpp"
#include "store/sender.hpp"
#include "store/tickets.hpp"

namespace service {

// The facts about a certificate that is bound to no enrolment yet (or is a PKCS#12 identity that enrols
// again).
struct Newcomer {
  std::optional<store::Ticket> ticket = {};
  std::optional<std::string> named_device = {};    // external id of the enrolment that ticket --for names
  std::optional<store::Enrollment> standing = {};  // the device's generation that is served, or disabled
  bool own_identity = false;  // the certificate is bound to that very generation (PKCS#12)
};

enum class NewcomerEffect {
  refuse,
  enroll,  // a new generation at once, which replaces the one that is served
  wait,    // a generation that waits for approval
};

struct NewcomerDecision {
  NewcomerEffect effect = NewcomerEffect::refuse;
  std::string reason = {};  // of a refusal
};

NewcomerDecision decide_newcomer(Newcomer const& facts, proto::Ids const& ids,
                                 proto::Authenticate const& message, proto::AuthKind proof,
                                 Reenrollment reenrollment);

// Throws Error{unauthenticated} when the sender is refused. `raw`: the body, to be kept sealed.
void authenticate(MdmContext& context, Presented const& presented, proto::CheckIn const& checkin,
                  std::string_view raw);

}  // namespace service
