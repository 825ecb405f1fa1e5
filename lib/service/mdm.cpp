#include "service/mdm.hpp"

#include "proto/checkin.hpp"
#include "service/checkin.hpp"
#include "service/identity.hpp"
#include "service/report.hpp"
#include "store/sender.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

constexpr std::size_t kLargeBody = 256U << 10U;

// Anybody can sign with a key of its own, and a large property list takes a good part of a second to read and
// some time to hash: so nobody's is, until the certificate that it claims is known here. Small ones, nearly
// all, are spared this look-up.
void refuse_large_of_strangers(MdmContext& context, MdmRequest const& request) {
  if (request.body.size() <= kLargeBody) return;
  auto const claimed = claimed_certificate(request.credentials);
  context.trace.certificate = sys::hex(claimed);
  for (bool const synced : {false, true}) {
    if (store::find_sender(context.db, {claimed, "", false, synced}).identity) return;
  }
  throw sys::Error(sys::Fault::unauthenticated, "identity: unknown certificate");
}

}  // namespace

MdmAnswer handle_mdm(MdmContext& context, MdmRequest const& request) {
  refuse_large_of_strangers(context, request);
  Presented const presented = present(request.credentials, request.body);
  context.trace.certificate = sys::hex(presented.sha256);
  if (!request.check_in) return handle_report(context, presented, request.body);
  auto const checkin = proto::decode_checkin(request.body, context.config.message_limit);
  context.trace.id = checkin.ids.external();
  context.trace.message = checkin.type;
  return check_in(context, presented, checkin, request.body);
}

}  // namespace service
