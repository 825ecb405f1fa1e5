#include "service/mdm.hpp"

#include "proto/checkin.hpp"
#include "service/checkin.hpp"
#include "service/identity.hpp"
#include "service/report.hpp"
#include "sys/text.hpp"

namespace service {

MdmAnswer handle_mdm(MdmContext& context, MdmRequest const& request) {
  Presented const presented = present(request.credentials, request.body);
  context.trace.certificate = sys::hex(presented.sha256);
  if (!request.check_in) return handle_report(context, presented, request.body);
  auto const checkin = proto::decode_checkin(request.body, context.config.message_limit);
  context.trace.id = checkin.ids.external();
  context.trace.message = checkin.type;
  return check_in(context, presented, checkin, request.body);
}

}  // namespace service
