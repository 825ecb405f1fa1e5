#include "life.hpp"

#include "bytes.hpp"
#include "mdm.hpp"
#include "messages.hpp"

namespace device {
namespace {

constexpr int most_keys = 3;  // that one ticket takes (ticket-attempts)
const Say silent = [](const std::string&) {};

std::string fingerprint(const Identity& identity) {
  return identity ? hex(digest(to_der(identity.certificate.get()), EVP_sha256())) : "";
}

std::optional<Profile> renewal_profile(const Command& command, const Identity& identity) {
  if (command.type != "InstallProfile") return std::nullopt;
  const auto bytes = command.content.data("Payload");
  if (!bytes) return std::nullopt;
  Profile profile = read_profile(*bytes, &identity);
  if (!profile.mdm) return std::nullopt;
  return profile;
}

}  // namespace

Life::Life(World& world, Device device, std::uint64_t seed)
    : world_(world), device_(std::move(device)), http_(device_.trust()), random_(seed) {}

bool Life::chance(double probability) {
  return !world_.ending && std::uniform_real_distribution<double>(0, 1)(random_) < probability;
}

std::string Life::presented() const { return fingerprint(device_.identity); }

std::string Life::stage_name() const {
  static const char* const names[] = {"bare",       "profile",  "identity",     "authenticated",
                                      "token told", "enrolled", "new identity", "leaving"};
  return names[static_cast<int>(stage_)];
}

void Life::tell_end() const {
  world_.journal.write(device_.udid, "end",
                       {{"state", stage_name()},
                        {"certificate", presented()},
                        {"token", hex(device_.channel.token)},
                        {"magic", device_.channel.push_magic},
                        {"finished", finished_ ? "yes" : "no"}});
}

double Life::live() {
  const double pause = std::uniform_real_distribution<double>(0.5, 1.5)(random_);
  constexpr double after_failure = 0.4;
  bool answered = true;
  do {
    next_mood();
    try {
      answered = step();
    } catch (const std::exception& error) {
      world_.journal.write(device_.udid, "trouble", {{"what", error.what()}});
      answered = false;
    }
  } while (answered && (in_session_ || stage_ != Stage::enrolled) && stage_ != Stage::bare);
  http_.close();
  if (!answered) in_session_ = false;
  if (!answered || world_.ending) return after_failure * pause;
  return stage_ == Stage::enrolled ? world_.every * pause : after_failure * pause;
}

void Life::next_mood() {
  if (stage_ != Stage::enrolled || in_session_) return;
  if (finished_ && leaves_at_end_) stage_ = Stage::leaving;
  if (chance(world_.moods.leave)) stage_ = Stage::leaving;
  if (!chance(world_.moods.enrol)) return;
  stage_ = Stage::bare;  // its user installs the profile once more
}

bool Life::step() {
  switch (stage_) {
    case Stage::bare:
      return fetch();
    case Stage::profile:
    case Stage::new_identity:
      return get_certificate();
    case Stage::identity:
      return authenticate();
    case Stage::authenticated:
      return update_token();
    case Stage::token_told:
      return escrow();
    case Stage::enrolled:
      return hold();
    case Stage::leaving:
      return leave();
  }
  return false;
}

bool Life::fetch() {
  profile_.reset();
  renewal_.reset();
  key_.reset();
  keys_ = 0;
  world_.journal.write(device_.udid, "send", {{"message", "Profile"}});
  http_.trust(device_.system_trust);
  http_.identity(nullptr);
  try {
    profile_ = fetch_profile(http_, world_.url, scep_user_agent(device_.kind));
  } catch (const Error& error) {
    world_.journal.write(device_.udid, "answer", {{"message", "Profile"}, {"what", error.what()}});
    return false;
  }
  world_.journal.write(device_.udid, "answer", {{"message", "Profile"}, {"http", "200"}});
  stage_ = Stage::profile;
  return true;
}

// The same key until there is an answer: the server finishes what it began with it.
bool Life::get_certificate() {
  const ScepPayload& payload = *profile_->identity();
  const bool wants_other = keys_ < most_keys && chance(world_.moods.other_key);
  if (!key_ || wants_other) {
    key_ = world_.keys.take(payload.keysize, "");
    ++keys_;
  }
  Device attempt = device_;
  take_settings(attempt, *profile_, *profile_->mdm);
  Context context{attempt, http_, world_.keys, silent};
  http_.trust(attempt.trust());
  world_.journal.write(device_.udid, "send", {{"message", "SCEP"}, {"certificate", presented()}});
  try {
    identity_ = get_identity(context, payload, key_);
  } catch (const Refusal& refusal) {
    world_.journal.write(device_.udid, "answer", {{"message", "SCEP"}, {"refused", refusal.what()}});
    const bool renews = stage_ == Stage::new_identity;
    if (renews) owe(*renewal_, {"Error", {}, "", {}});
    stage_ = renews ? Stage::enrolled : Stage::bare;
    return true;
  } catch (const Error& error) {
    world_.journal.write(device_.udid, "answer", {{"message", "SCEP"}, {"what", error.what()}});
    return false;
  }
  world_.journal.write(device_.udid, "answer",
                       {{"message", "SCEP"}, {"http", "200"}, {"issued", fingerprint(identity_)}});
  renewed();
  return true;
}

// Takes the new identity, and with it what the profile says.
void Life::renewed() {
  take_settings(device_, *profile_, *profile_->mdm);
  device_.old_identity = device_.identity;
  device_.identity = identity_;
  key_.reset();
  if (stage_ == Stage::profile) {
    make_channels(device_, "");
    device_.enrolled = false;
    stage_ = Stage::identity;
    return;
  }
  owe(*renewal_, {});
  stage_ = Stage::enrolled;
  if (chance(world_.moods.quiet)) return;
  device_.channel.push_magic = uuid();  // TokenUpdate may bring another one at any time
  stage_ = Stage::identity;
}

std::optional<Reply> Life::put(const std::string& message, const std::string& body, Journal::Fields fields) {
  fields.insert(fields.begin(), {{"message", message}, {"certificate", presented()}});
  world_.journal.write(device_.udid, "send", fields);
  const bool check_in_message = message != "Idle" && message != "Report";
  Reply reply;
  try {
    reply = check_in_message ? check_in(http_, device_, body) : tell_status(http_, device_, body, "session");
  } catch (const Error& error) {
    world_.journal.write(device_.udid, "answer", {{"message", message}, {"what", error.what()}});
    return std::nullopt;
  }
  Journal::Fields told{{"message", message}, {"http", std::to_string(reply.status)}};
  if (reply.ok() && !check_in_message && !reply.body.empty()) {
    const Command command = read_command(reply.body);
    told.insert(told.end(), {{"offered", command.uuid}, {"type", command.type}});
  }
  world_.journal.write(device_.udid, "answer", told);
  return reply;
}

bool Life::settled(const std::optional<Reply>& reply) {
  if (!reply || reply->status >= 500) return false;
  if (!reply->ok()) stage_ = Stage::bare;  // refused: only a new enrolment can help
  return reply->ok();
}

bool Life::authenticate() {
  if (!settled(put("Authenticate", to_xml(authenticate_message(device_)), {}))) return stage_ == Stage::bare;
  stage_ = Stage::authenticated;
  return true;
}

bool Life::update_token() {
  const Dict message = token_update_message(device_, device_.channel);
  const auto reply = put("TokenUpdate", to_xml(message),
                         {{"token", hex(device_.channel.token)}, {"magic", device_.channel.push_magic}});
  if (!settled(reply)) return stage_ == Stage::bare;
  const bool at_first = !device_.enrolled && device_.kind == Kind::mac;
  device_.enrolled = true;
  stage_ = at_first ? Stage::token_told : Stage::enrolled;
  return true;
}

bool Life::escrow() {
  const Dict message = set_bootstrap_token_message(device_, random_bytes(64));
  if (!settled(put("SetBootstrapToken", to_xml(message), {}))) return stage_ == Stage::bare;
  stage_ = Stage::enrolled;
  return true;
}

bool Life::leave() {
  if (!settled(put("CheckOut", to_xml(check_out_message(device_)), {}))) return stage_ == Stage::bare;
  device_.enrolled = false;
  device_.channel.pending_report.clear();
  stage_ = Stage::bare;
  return true;
}

// What is owed is sent in this session or, until it is answered, first in a later one.
void Life::owe(const Command& command, const Answer& given) {
  Context context{device_, http_, world_.keys, silent};
  device_.channel.pending_report = report_of(context, device_.channel, command, given);
  owed_uuid_ = command.uuid;
  owed_status_ = given.status;
  in_session_ = true;
}

// One exchange of a session, then what its answer asks for.
bool Life::hold() {
  const std::string owed = device_.channel.pending_report;
  const auto reply = owed.empty() ? put("Idle", to_xml(device::report(device_, device_.channel, "Idle")), {})
                                  : put("Report", owed, {{"command", owed_uuid_}, {"status", owed_status_}});
  if (!settled(reply)) return stage_ == Stage::bare;
  in_session_ = true;
  if (!owed.empty() && chance(world_.moods.repeat)) return true;  // the same once more
  device_.channel.pending_report.clear();
  if (reply->body.empty()) {
    in_session_ = false;
    finished_ = world_.ending && owed.empty();
    return true;
  }
  const Command command = read_command(reply->body);
  if (chance(world_.moods.abandon)) {
    in_session_ = false;
    return true;
  }
  return begin_renewal(command) || report(command);
}

bool Life::begin_renewal(const Command& command) {
  auto profile = renewal_profile(command, device_.identity);
  if (!profile) return false;
  check_frozen(device_, *profile, *profile->mdm);
  profile_ = std::move(profile);
  renewal_ = command;
  key_.reset();
  keys_ = 0;
  in_session_ = false;
  stage_ = Stage::new_identity;
  return true;
}

bool Life::report(const Command& command) {
  Context context{device_, http_, world_.keys, silent};
  Answer given{"NotNow", {}, "", Answer::Then::nothing};
  if (!chance(world_.moods.not_now)) {
    const Whims whims{{}, chance(world_.moods.error) ? std::set{command.type} : std::set<std::string>{}, {}};
    given = answer(context, command.type, command.content, whims);
  }
  owe(command, given);
  return true;
}

}  // namespace device
