// The command channel: settle the report, hand out the next command.
//
// Idle costs one round trip, a report two: the look-up and the procedure that settles it and finds the next
// command. 400 is for senders, not for content: a report that cannot be read is settled as unreadable.
#pragma once

#include <string_view>

#include "service/identity.hpp"
#include "service/mdm_context.hpp"

namespace service {

MdmAnswer handle_report(MdmContext& context, Presented const& presented, std::string_view body);

}  // namespace service
