// `pomona enrollment`: who is enrolled, who waits, and what an admin decides about it.
#include "service/enrollment.hpp"

#include "nouns.hpp"
#include "service/renew.hpp"
#include "store/certificates.hpp"
#include "store/devices.hpp"
#include "store/enrollments.hpp"
#include "store/escrow.hpp"
#include "store/push.hpp"
#include "store/queue.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

using store::Enrollment;
using store::EnrollmentState;

std::string state_text(Enrollment const& row) {
  std::string text(store::enrollment_state_name(row.state));
  if (row.state == EnrollmentState::current && row.token_update_tally == 0) text += ", no TokenUpdate yet";
  if (row.frozen && row.state == EnrollmentState::current) text += ", frozen";
  return text;
}

std::optional<EnrollmentState> wanted_state(Context& context) {
  if (!context.has("state")) return std::nullopt;
  try {
    return store::read_enrollment_state(context.option("state"));
  } catch (sys::Error const&) {
    context.usage("--state is one of pending, current, replaced, checked-out, disabled, rejected");
  }
}

int run_list(Context& context) {
  Table table{{{"id", "ID"},
               {"channel", "CHANNEL"},
               {"state_text", "STATE"},
               {"generation", "GEN", true},
               {"serial_number", "SERIAL"},
               {"product_name", "PRODUCT"},
               {"os_version", "OS"},
               {"outstanding", "QUEUE", true},
               {"last_seen_at", "LAST SEEN (UTC)"},
               {"uuid", ""},
               {"state", ""},
               {"frozen", ""},
               {"auth", ""},
               {"topic", ""},
               {"device_name", ""},
               {"token_update_tally", ""},
               {"created_at", ""},
               {"ended_at", ""}},
              {},
              "No enrolments. `pomona ticket new` makes the address from which a device enrols."};
  store::EnrollmentFilter filter;
  filter.state = wanted_state(context);
  filter.limit = context.number("limit", 1, 10'000'000).value_or(filter.limit);
  for (auto const& summary : store::list_enrollments(context.db(), filter)) {
    auto const& row = summary.enrollment;
    table.rows.push_back({row.external_id, proto::channel_name(row.channel), state_text(row), row.generation,
                          summary.serial_number, summary.product_name, summary.os_version,
                          summary.outstanding, row.last_seen_at, row.uuid,
                          store::enrollment_state_name(row.state), row.frozen, proto::auth_name(row.auth),
                          row.topic, summary.device_name, row.token_update_tally, row.created_at,
                          row.ended_at});
  }
  context.out().table(table);
  return 0;
}

List identities_of(Context& context, std::int64_t device_channel_id) {
  store::CertFilter filter;
  filter.enrollment_id = device_channel_id;
  List list;
  for (auto const& cert : store::list_certificates(context.db(), store::CertView::device, filter)) {
    list.emplace_back(Object{{"serial", sys::hex(cert.serial)},
                             {"sha256", cert.sha256 ? Value(sys::hex(*cert.sha256)) : Value()},
                             {"status", store::cert_status_name(cert.status)},
                             {"not_after", cert.not_after},
                             {"first_seen_at", cert.first_seen_at},
                             {"retiring_at", cert.retiring_at}});
  }
  return list;
}

std::string identities_text(Context& context, std::int64_t device_channel_id) {
  store::CertFilter filter;
  filter.enrollment_id = device_channel_id;
  std::string text;
  for (auto const& cert : store::list_certificates(context.db(), store::CertView::device, filter)) {
    if (!text.empty()) text += "; ";
    text += sys::hex(cert.serial) + ' ' + std::string(store::cert_status_name(cert.status)) + " until " +
            sys::certbot_time(cert.not_after);
  }
  return text.empty() ? "none" : text;
}

List escrow_of(Context& context, std::int64_t device_channel_id) {
  List list;
  for (auto const& row : store::list_escrow(context.db(), device_channel_id))
    list.emplace_back(Object{{"kind", row.kind}, {"updated_at", row.updated_at}});
  return list;
}

std::string escrow_text(Context& context, std::int64_t device_channel_id) {
  std::string text;
  for (auto const& row : store::list_escrow(context.db(), device_channel_id))
    text += (text.empty() ? "" : ", ") + row.kind + " of " + sys::certbot_time(row.updated_at);
  return text.empty() ? "nothing" : text;
}

Value push_of(std::optional<store::PushStatus> const& push) {
  if (!push) return {};
  return Object{{"next_at", push->due_at},
                {"unanswered", push->unanswered},
                {"failed", push->attempts},
                {"dead_since", push->dead_since},
                {"accepted_at", push->last_pushed_at},
                {"last_status", push->last_status},
                {"last_reason", push->last_reason}};
}

std::string push_text(std::optional<store::PushStatus> const& push) {
  if (!push) return "never possible: no TokenUpdate came";
  std::string text =
      push->last_pushed_at ? "accepted " + sys::certbot_time(*push->last_pushed_at) : "none yet";
  if (push->unanswered > 0) text += ", " + std::to_string(push->unanswered) + " without all answers";
  if (push->last_status.value_or(0) != 200 && push->last_reason)
    text += ", last answer " + *push->last_reason;
  if (push->dead_since) text += ", token dead since " + sys::certbot_time(*push->dead_since);
  return text + (push->due_at ? ", next " + sys::certbot_time(*push->due_at) : ", none due");
}

List channels_list(Context& context, std::int64_t device_channel_id) {
  List list;
  for (auto const& user : store::channels_of(context.db(), device_channel_id)) {
    list.emplace_back(Object{{"id", user.external_id},
                             {"state", store::enrollment_state_name(user.state)},
                             {"user_short_name", user.user_short_name},
                             {"last_seen_at", user.last_seen_at}});
  }
  return list;
}

List generations_list(Context& context, Enrollment const& row) {
  List list;
  for (auto const& other : store::generations_of(context.db(), row.device_id)) {
    list.emplace_back(Object{{"uuid", other.uuid},
                             {"generation", other.generation},
                             {"state", store::enrollment_state_name(other.state)},
                             {"created_at", other.created_at},
                             {"ended_at", other.ended_at}});
  }
  return list;
}

std::string generations_text(Context& context, Enrollment const& row) {
  std::string text;
  for (auto const& other : store::generations_of(context.db(), row.device_id)) {
    text += (text.empty() ? "" : "; ") + std::to_string(other.generation) + ' ' + state_text(other) + ' ' +
            other.uuid;
  }
  return text;
}

std::vector<Field> about_enrollment(Context& context, Enrollment const& row) {
  store::DeliveryFilter filter;
  filter.external_id = row.external_id;
  std::int64_t outstanding = 0;
  for (auto const& delivery : store::list_deliveries(context.db(), filter))
    outstanding += delivery.enrollment_id == row.id ? 1 : 0;
  return {{"id", "ID", row.external_id},
          {"uuid", "UUID", row.uuid},
          {"channel", "Channel", proto::channel_name(row.channel)},
          {"state", "", store::enrollment_state_name(row.state)},
          {"state_text", "State", state_text(row)},
          {"frozen", "", row.frozen},
          {"generation", "Generation", row.generation},
          {"auth", "Identified by", proto::auth_name(row.auth)},
          {"topic", "Topic", row.topic},
          {"user_short_name", row.parent_id ? "User" : "", row.user_short_name},
          {"user_long_name", "", row.user_long_name},
          {"awaiting_configuration", "Awaits configuration", row.awaiting_configuration},
          {"token_update_tally", "TokenUpdates", row.token_update_tally},
          {"outstanding", "Commands waiting", outstanding},
          {"created_at", "Enrolled (UTC)", row.created_at},
          {"token_updated_at", "Token of (UTC)", row.token_updated_at},
          {"last_seen_at", "Last seen (UTC)", row.last_seen_at},
          {"ended_at", "Ended (UTC)", row.ended_at}};
}

void add_device(Context& context, Enrollment const& row, std::vector<Field>& fields) {
  auto const device = store::find_device(context.db(), row.device_id);
  if (!device) return;
  fields.push_back({"serial_number", "Serial number", device->serial_number});
  fields.push_back({"device_name", "Name", device->device_name});
  fields.push_back({"model", "Model", device->model});
  fields.push_back({"model_name", "", device->model_name});
  fields.push_back({"product_name", "Product", device->product_name});
  fields.push_back({"os_version", "OS", device->os_version});
  fields.push_back({"build_version", "Build", device->build_version});
}

int run_show(Context& context) {
  auto const row = service::find_any(context.db(), context.arguments()[0]);
  std::int64_t const device_channel = row.parent_id.value_or(row.id);
  auto fields = about_enrollment(context, row);
  add_device(context, row, fields);
  auto const push = store::push_status(context.db(), row.id);
  if (context.out().json()) {
    fields.push_back({"push", "", push_of(push)});
    fields.push_back({"identities", "", identities_of(context, device_channel)});
    fields.push_back({"escrow", "", escrow_of(context, device_channel)});
    fields.push_back({"user_channels", "", channels_list(context, device_channel)});
    fields.push_back({"generations", "", generations_list(context, row)});
  } else {
    std::string users;
    for (auto const& user : store::channels_of(context.db(), device_channel))
      users += (users.empty() ? "" : ", ") + user.external_id + " (" + state_text(user) + ')';
    fields.push_back({"push", "Push", push_text(push)});
    fields.push_back({"identities", "Identities", identities_text(context, device_channel)});
    fields.push_back({"escrow", "Escrowed", escrow_text(context, device_channel)});
    fields.push_back({"user_channels", "User channels", users.empty() ? "none" : users});
    fields.push_back({"generations", "Generations", generations_text(context, row)});
  }
  context.out().fields(fields);
  return 0;
}

void done(Context& context, Enrollment const& row, EnrollmentState state, std::string const& text) {
  context.out().value(Object{{"id", row.external_id},
                             {"uuid", row.uuid},
                             {"generation", row.generation},
                             {"state", store::enrollment_state_name(state)}});
  context.out().line(text);
}

int run_approve(Context& context) {
  auto const row =
      service::find_device_channel(context.db(), context.arguments()[0], EnrollmentState::pending);
  service::approve(context.db(), context.key("message"), context.key("escrow"), {row.id, context.who()},
                   context.now());
  done(context, row, EnrollmentState::current,
       row.external_id + ": generation " + std::to_string(row.generation) +
           " is enrolled now. If the older one was alive, its identity is no longer believed.");
  return 0;
}

int run_reject(Context& context) {
  auto const row =
      service::find_device_channel(context.db(), context.arguments()[0], EnrollmentState::pending);
  service::reject(context.db(), {row.id, context.who()}, context.now());
  done(context, row, EnrollmentState::rejected,
       row.external_id + ": generation " + std::to_string(row.generation) +
           " was rejected and its identity revoked. The device keeps the profile until it is removed there.");
  return 0;
}

int run_resolve(Context& context) {
  std::string const keep = context.option("keep");
  if (keep != "old" && keep != "new") context.usage("--keep old or --keep new is needed");
  auto const row =
      service::find_device_channel(context.db(), context.arguments()[0], EnrollmentState::current);
  bool const old_one = keep == "old";
  service::resolve(context.db(), {row.id, context.who()},
                   old_one ? service::Keep::old_one : service::Keep::new_one, context.now());
  done(context, row, old_one ? EnrollmentState::rejected : EnrollmentState::current,
       row.external_id + (old_one
                              ? ": the older generation is served again; the identity of the newer one was "
                                "revoked."
                              : ": the newer generation is served; the identities of older ones were "
                                "revoked."));
  return 0;
}

int run_renew(Context& context) {
  service::RenewalWish const wish{context.arguments()[0], !context.has("no-push"), context.who()};
  auto const queued = service::queue_renewal(context.db(), context.config(), wish, context.now());
  context.out().value(
      Object{{"id", queued.external_id}, {"command_uuid", queued.command_uuid}, {"waited", queued.waited}});
  context.out().line(queued.waited
                         ? "A renewal of " + queued.external_id + " is queued already as " +
                               queued.command_uuid + " and not answered yet; nothing was added."
                         : "Queued the renewal of " + queued.external_id + " as " + queued.command_uuid +
                               ".\nThe device fetches its profile again and gets a new certificate; see the "
                               "answer with: pomona command show " +
                               queued.command_uuid);
  return 0;
}

int run_disable(Context& context) {
  auto const row =
      service::find_device_channel(context.db(), context.arguments()[0], EnrollmentState::current);
  context.confirm("Disable " + row.external_id +
                  "? It gets no more commands and its messages are refused until it enrols again.");
  service::disable(context.db(), {row.id, context.who()}, context.now());
  done(context, row, EnrollmentState::disabled,
       row.external_id + " is disabled. It keeps its profiles; to manage it again it must enrol again.");
  return 0;
}

Verb verb_on_id(std::string name, std::string summary, int (*run)(Context&), std::string details,
                std::vector<sys::OptionSpec> options = {}) {
  Verb verb;
  verb.name = std::move(name);
  verb.summary = std::move(summary);
  verb.arguments = "ID";
  verb.least = verb.most = 1;
  verb.options = std::move(options);
  verb.run = run;
  verb.details = std::move(details);
  return verb;
}

}  // namespace

Noun enrollment_noun() {
  Verb list;
  list.name = "list";
  list.summary = "list enrolments, one line for each generation and channel";
  list.options = {{"state", "only those in this state", "STATE", ""},
                  {"limit", "at most so many (default 10000)", "N", ""}};
  list.run = run_list;
  Verb disable = verb_on_id("disable", "end an enrolment on the server's side", run_disable,
                            "The device is not told: it keeps its profiles, and its messages are refused.");
  disable.asks = true;
  return {
      "enrollment",
      "enrolled devices and users",
      {std::move(list),
       verb_on_id("show", "show an enrolment with its device, identities and generations", run_show,
                  "ID is what the list shows, or the uuid of one generation."),
       verb_on_id("approve", "let an enrolment in that waits for it", run_approve,
                  "Under `reenrollment = approve` a device that is enrolled already and enrols again under a "
                  "ticket that\ndoes not name it waits. The old generation is replaced by this."),
       verb_on_id("reject", "turn away an enrolment that waits", run_reject,
                  "Its identity is revoked; the generation that is served goes on."),
       verb_on_id(
           "resolve", "decide which of two identities of a device to believe", run_resolve,
           "When the identity of a replaced generation speaks, two parties claim to be one device. The "
           "newer\ngeneration is frozen: it gets no command until this says which one to keep. The "
           "other identity is revoked.",
           {{"keep", "the generation that goes on: old or new", "old|new", ""}}),
       verb_on_id(
           "renew", "have a device get a new identity certificate", run_renew,
           "Queues its enrolment profile again, made when the device fetches it, with a challenge that "
           "is good for a\nday. Everything else of the enrolment stays. An identity that has expired "
           "is still heard for this, for\nidentity-grace.",
           {{"no-push", "wait until the device comes by itself", "", ""}}),
       std::move(disable)}};
}

}  // namespace admin
