// One device request: who is calling, what the message does, what the answer is. Knows nothing of HTTP.
//
// Errors: Error{bad_request} and Error{unauthenticated} refuse the sender; everything else is ours.
#pragma once

#include <cstddef>

#include "service/mdm_context.hpp"

namespace service {

// Bodies above this are read only for a certificate that is known. Reading one may take a second: the time
// that the database has for the request begins anew afterwards, so that nobody's content makes us say 503.
inline constexpr std::size_t kLargeBody = 256U << 10U;

MdmAnswer handle_mdm(MdmContext& context, MdmRequest const& request);

}  // namespace service
