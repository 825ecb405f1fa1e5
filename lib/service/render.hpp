// Commands that are made at delivery, for the very identity that fetches them.
//
// The row of such a command holds no secret: whoever queues it needs none. `renew` is InstallProfile with the
// enrolment's profile as it was given (frozen values), and fresh: SCEP URL, challenge, CA fingerprint, trust.
// The ticket behind the challenge is written in the transaction that decides on the delivery, replaced when
// the command is handed out again, closed when it settles. Errors: Error{unavailable} while there is no CA,
// Error{internal} for a renderer or a profile that does not exist.
#pragma once

#include <optional>
#include <string>

#include "service/identity.hpp"
#include "service/mdm_context.hpp"
#include "store/queue.hpp"

namespace service {

// The command's plist; nullopt when the delivery, the enrolment or the identity has ended meanwhile. The
// caller has ruled that this sender is to have it.
std::optional<std::string> render(MdmContext& context, Presented const& presented, Admission const& admission,
                                  store::NextCommand const& next);

}  // namespace service
