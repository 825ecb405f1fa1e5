// One device request: who is calling, what the message does, what the answer is. Knows nothing of HTTP.
//
// Errors: Error{bad_request} and Error{unauthenticated} refuse the sender; everything else is ours.
#pragma once

#include "service/mdm_context.hpp"

namespace service {

MdmAnswer handle_mdm(MdmContext& context, MdmRequest const& request);

}  // namespace service
