#include "service/metrics.hpp"

#include <map>
#include <utility>
#include <vector>

#include "service/cert_report.hpp"
#include "service/check.hpp"
#include "store/health.hpp"
#include "sys/text.hpp"

namespace service {

namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

std::string label_value(std::string const& value) {
  std::string out;
  for (char const c : value) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

// One family: its values stand together behind HELP and TYPE.
class Family {
 public:
  Family(std::string name, std::string const& help)
      : name_(std::move(name)), text_("# HELP " + name_ + ' ' + help + "\n# TYPE " + name_ + " gauge\n") {}
  void add(Labels const& labels, std::int64_t value) {
    text_ += name_;
    for (std::size_t i = 0; i < labels.size(); ++i)
      text_ += (i == 0 ? "{" : ",") + labels[i].first + "=\"" + label_value(labels[i].second) + '"';
    text_ += (labels.empty() ? " " : "} ") + std::to_string(value) + '\n';
  }
  [[nodiscard]] std::string const& text() const noexcept { return text_; }

 private:
  std::string name_;
  std::string text_;
};

std::string single(std::string const& name, std::string const& help, std::int64_t value) {
  Family family(name, help);
  family.add({}, value);
  return family.text();
}

std::string by_label(std::string const& name, std::string const& help, std::string const& label,
                     std::map<std::string, std::int64_t> const& values) {
  Family family(name, help);
  for (auto const& [key, value] : values) family.add({{label, key}}, value);
  return family.text();
}

std::string certificates(Inventory const& inventory) {
  Family end("pomona_certificate_not_after_seconds", "When it expires, seconds since 1970.");
  Family begin("pomona_certificate_not_before_seconds", "When its life began, seconds since 1970.");
  Family attention("pomona_certificate_attention_seconds", "From when on it asks for attention.");
  Family devices("pomona_certificate_devices", "Enrolled devices that depend on it.");
  for (auto const& report : inventory.reports) {
    // Of several with one name, as after a renewal, the hash tells which is which.
    auto const hash = report.row && report.row->sha256 ? sys::hex(*report.row->sha256).substr(0, 16) : "";
    Labels const labels{{"kind", report.kind}, {"name", report.title}, {"sha256", hash}};
    end.add(labels, sys::unix_seconds(report.not_after));
    begin.add(labels, sys::unix_seconds(report.not_before));
    attention.add(labels, sys::unix_seconds(report.act_after));
    devices.add(labels, report.used_by);
  }
  return end.text() + begin.text() + attention.text() + devices.text() +
         single("pomona_certificates_unreadable", "Certificates that could not be looked at.",
                static_cast<std::int64_t>(inventory.problems.size()));
}

std::int64_t age(std::optional<sys::Time> since, sys::Time now) {
  return since && *since < now ? std::chrono::floor<sys::seconds>(now - *since).count() : 0;
}

std::string work(sys::Db& db, sys::Time now) {
  auto const queue = store::queue_health(db);
  auto const push = store::push_health(db, now);
  return by_label("pomona_devices", "Device channels by state of the enrolment.", "state",
                  store::devices_by_state(db)) +
         by_label("pomona_deliveries", "Outstanding deliveries of commands by state.", "state",
                  {{"queued", queue.queued}, {"not-now", queue.not_now}, {"held", queue.held}}) +
         single("pomona_oldest_delivery_seconds", "Age of the longest waiting delivery that is not held.",
                age(queue.oldest, now)) +
         single("pomona_devices_frozen", "Devices that are served nothing because of identity.conflict.",
                queue.frozen) +
         single("pomona_pushes_due", "Pushes that are due now.", push.due) +
         single("pomona_oldest_push_due_seconds", "How long the oldest of them is due.",
                age(push.oldest_due, now)) +
         single("pomona_pushes_failing", "Devices whose last push failed.", push.failing) +
         single("pomona_push_tokens_dead", "Devices whose push token APNs called dead.", push.dead) +
         by_label("pomona_results", "Stored results of commands by status.", "status",
                  store::results_by_status(db));
}

}  // namespace

std::string metrics_text(sys::Db& db, Config const& config, bool live, sys::Time now) {
  auto const missing = missing_steps(db);
  auto schema = single("pomona_schema_missing_steps", "Steps of the schema that were not applied.", missing);
  if (missing > 0) return schema;
  return certificates(take_inventory(db, config, {false, live}, now)) + work(db, now) + schema;
}

}  // namespace service
