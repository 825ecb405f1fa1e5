// Check-in messages other than Authenticate: what each does to the enrolment that sends it.
//
// Each is one transaction. Throws Error{unauthenticated} when the sender is refused, Error{bad_request} when
// the message has no place on its channel or is one that is not served.
#pragma once

#include <string_view>

#include "proto/checkin.hpp"
#include "service/identity.hpp"
#include "service/mdm_context.hpp"

namespace service {

// `raw`: the body, to be kept sealed.
MdmAnswer check_in(MdmContext& context, Presented const& presented, proto::CheckIn const& checkin,
                   std::string_view raw);

// What a TokenUpdate entrusts is written to the row of its channel; also used when a waiting enrolment is
// approved, which replays what was stored meanwhile. Inside a transaction.
void escrow_unlock_token(sys::Db& db, sys::KeyRing const& escrow_key, store::Enrollment const& device,
                         proto::TokenUpdate const& update, sys::Time now);

}  // namespace service
