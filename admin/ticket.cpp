// `pomona ticket`: permission to enrol.
#include "service/ticket.hpp"

#include "nouns.hpp"
#include "sys/error.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

using store::Ticket;

constexpr std::int64_t kMostUses = 100'000;

std::optional<std::string> text_option(Context& context, std::string const& key) {
  auto given = context.options().find(key);
  if (given && sys::trim(*given).empty()) context.usage("--" + key + ": an empty value binds nothing");
  return given;
}

void check_identity(Context& context) {
  std::string const identity = context.option("identity");
  if (identity == "scep") return;
  if (identity == "pkcs12") {
    context.usage(
        "--identity pkcs12 is not part of this version: the device makes its own key (scep). A key made "
        "here would have to\nbe carried to the device inside the profile");
  }
  context.usage("--identity " + identity + ": scep is needed");
}

service::TicketWish read_wish(Context& context) {
  check_identity(context);
  service::TicketWish wish;
  wish.uses = context.number("uses", 1, kMostUses).value_or(1);
  wish.serial = text_option(context, "serial");
  wish.udid = text_option(context, "udid");
  wish.for_enrollment = text_option(context, "for");
  wish.topic = text_option(context, "topic");
  wish.lifetime = context.duration("expires");
  wish.created_by = context.who();
  auto const auth = proto::parse_auth(context.option("auth"));
  if (!auth) context.usage("--auth " + context.option("auth") + ": tls or signature is needed");
  wish.auth = *auth;
  if (wish.uses > 1 && (wish.serial || wish.udid || wish.for_enrollment))
    context.usage("--uses is for several devices; --serial, --udid and --for name one");
  return wish;
}

int run_new(Context& context) {
  auto const wish = read_wish(context);
  auto const minted = service::new_ticket(context.db(), context.config(), wish, context.now());
  context.out().fields({{"number", "Ticket", minted.ticket.id},
                        {"url", "URL", minted.url},
                        {"challenge", "Challenge", minted.challenge},
                        {"scep_url", "SCEP URL", minted.scep_url},
                        {"expires_at", "Expires (UTC)", minted.ticket.expires_at},
                        {"topic", "Topic", minted.ticket.topic},
                        {"uses", "Devices", minted.ticket.uses}});
  context.out().line(
      wish.uses > 1
          ? "\nOpen the URL on each device to enrol it; each download uses up one of the ticket's "
            "places. The URL is a secret\nand is not shown again."
          : "\nOpen the URL on the device to enrol it. The URL is a secret and is not shown again.");
  return 0;
}

char const* state_word(Ticket const& ticket, sys::Time now) {
  char const* obstacle = service::ticket_obstacle(ticket, now);
  return obstacle == nullptr ? "open" : obstacle;
}

std::string bound_to(Ticket const& ticket) {
  std::string text;
  if (ticket.bind_udid) text += "UDID " + *ticket.bind_udid + ' ';
  if (ticket.bind_serial) text += "serial " + *ticket.bind_serial + ' ';
  if (ticket.enrollment_id) text += "enrolment #" + std::to_string(*ticket.enrollment_id);
  return text.empty() ? "any device" : std::string(sys::trim(text));
}

List ticket_row(Ticket const& ticket, sys::Time now) {
  Value const places = ticket.uses > 1
                           ? Value(std::to_string(ticket.uses_left) + " of " + std::to_string(ticket.uses))
                           : Value("1");
  return {ticket.id,
          state_word(ticket, now),
          store::ticket_purpose_name(ticket.purpose),
          bound_to(ticket),
          places,
          proto::auth_name(ticket.auth),
          ticket.expires_at,
          ticket.created_by,
          ticket.created_at,
          ticket.topic,
          ticket.parent_id,
          ticket.bind_udid,
          ticket.bind_serial,
          ticket.enrollment_id,
          ticket.uses,
          ticket.uses_left};
}

Table ticket_table() {
  return {{{"number", "NUMBER", true},
           {"state", "STATE"},
           {"purpose", "PURPOSE"},
           {"bound_to", "FOR"},
           {"places", "PLACES LEFT"},
           {"auth", "AUTH"},
           {"expires_at", "EXPIRES (UTC)"},
           {"created_by", "BY"},
           {"created_at", ""},
           {"topic", ""},
           {"parent", ""},
           {"udid", ""},
           {"serial", ""},
           {"enrollment", ""},
           {"uses", ""},
           {"uses_left", ""}},
          {},
          "No tickets. `pomona ticket new` makes one."};
}

int run_list(Context& context) {
  store::TicketFilter filter;
  if (!context.has("all")) filter.state = store::TicketState::open;
  Table table = ticket_table();
  for (auto const& ticket : store::list_tickets(context.db(), filter)) {
    bool const good = service::ticket_obstacle(ticket, context.now()) == nullptr;
    if (good || context.has("all")) table.rows.push_back(ticket_row(ticket, context.now()));
  }
  if (!context.has("all"))
    table.nothing = "No open tickets; --all also lists used, expired and revoked ones.";
  context.out().table(table);
  return 0;
}

int run_revoke(Context& context) {
  std::string const& text = context.arguments().front();
  auto const number = sys::parse_integer(text);
  if (!number) context.usage(text + " is no ticket number; `pomona ticket list` shows them");
  bool const revoked = service::revoke_ticket(context.db(), *number, context.who(), context.now());
  context.out().value(Object{{"number", *number}, {"revoked", revoked}});
  context.out().line("Ticket " + text +
                     (revoked ? " is revoked: nothing can be enrolled with it any more. Devices that were "
                                "enrolled with it stay."
                              : " was not open; nothing changed."));
  return 0;
}

std::vector<sys::OptionSpec> new_options() {
  return {{"uses", "devices that may be enrolled with the one URL", "N", "1"},
          {"serial", "only the device with this serial number", "SERIAL", ""},
          {"udid", "only the device with this UDID", "UDID", ""},
          {"for", "enrol again the device with this enrolment id, at once and without approval", "ID", ""},
          {"topic", "push topic; needed only with several push certificates", "TOPIC", ""},
          {"auth", "how the device proves itself: tls (client certificate) or signature", "KIND", "tls"},
          {"identity", "where the device's key comes from: scep (made on the device)", "KIND", "scep"},
          {"expires", "how long the ticket is good; ticket-lifetime where unset", "TIME", ""}};
}

}  // namespace

Noun ticket_noun() {
  return {
      "ticket",
      "permission to enrol",
      {{"new", "make a ticket and print its URL", "", 0, 0, new_options(), run_new, false,
        "The URL is to be opened on the device: it gives the enrolment profile, the same on every download "
        "until the device\nhas enrolled. With --uses each download enrols another device. URL and challenge "
        "are "
        "printed once; the database\nkeeps their hashes only."},
       {"list",
        "list the open tickets",
        "",
        0,
        0,
        {{"all", "also used, expired and revoked ones, and those made by open enrolment", "", ""}},
        run_list,
        false,
        ""},
       {"revoke",
        "make a ticket unusable, and what was minted from it",
        "NUMBER",
        1,
        1,
        {},
        run_revoke,
        false,
        ""}}};
}

}  // namespace admin
