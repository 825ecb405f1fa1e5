#include "service/https_report.hpp"

#include "service/cert_words.hpp"
#include "sys/file.hpp"
#include "sys/served_chain.hpp"
#include "sys/text.hpp"
#include "sys/x509.hpp"

namespace service {

namespace {

// What a certificate calls itself may be any bytes, and comes from whoever answers under server-url.
std::string name_of(sys::Cert const& cert, bool by_dns) {
  auto const dns = cert.dns_sans();
  auto const name = by_dns && !dns.empty() ? dns.front() : cert.subject_value("CN").value_or(cert.subject());
  return sys::is_utf8(name) ? sys::escape_controls(name) : sys::percent_encode(name);
}

CertReport report_of(std::string const& kind, sys::Cert const& cert, std::int64_t devices) {
  bool const by_dns = kind == "https" || kind == "https-served";
  CertReport report{kind, std::string(cert_words(kind).title) + ' ' + name_of(cert, by_dns),
                    store::certificate_row(kind, store::CertStatus::active, cert)};
  report.status = "active";
  report.not_before = cert.not_before();
  report.not_after = cert.not_after();
  report.used_by = devices;
  return report;
}

// Problems are told with the key, so that it is known what to correct.
std::vector<sys::Cert> read_file(Inventory& inventory, std::string const& key, std::string const& file) {
  try {
    auto certs = sys::Cert::read_all(sys::read_file(file));
    if (!certs.empty()) return certs;
    inventory.problems.push_back({key, key + " = " + file + ": there is no certificate in it"});
  } catch (sys::Error const& error) {
    inventory.problems.push_back({key, key + " = " + file + ": " + error.what()});
  }
  return {};
}

void add_file(Inventory& inventory, std::vector<sys::Cert> const& certs, std::string const& file,
              std::int64_t devices) {
  for (std::size_t i = 0; i < certs.size(); ++i) {
    auto report = report_of(i == 0 ? "https" : "https-chain", certs[i], devices);
    report.file = file;
    // One that ends after the leaf is replaced with it: nobody has to do anything about it.
    report.counts = i == 0 || certs[i].not_after() < certs.front().not_after();
    inventory.reports.push_back(std::move(report));
  }
}

// Only what the file does not have: after a reload there is nothing to add.
void add_served(Inventory& inventory, std::string const& url, std::vector<sys::Cert> const& of_file,
                std::int64_t devices) {
  try {
    auto const chain = sys::served_chain(url);
    if (!of_file.empty() && chain.front().sha256() == of_file.front().sha256()) return;
    auto report = report_of(of_file.empty() ? "https" : "https-served", chain.front(), devices);
    report.status = "served at " + url;
    report.differs = !of_file.empty();
    inventory.reports.push_back(std::move(report));
  } catch (sys::Error const& error) {
    inventory.problems.push_back({"server-url", "server-url = " + url + ": " + error.what()});
  }
}

}  // namespace

void add_https(Inventory& inventory, Config const& config, bool live, std::int64_t devices) {
  if (!config.https_ca_file.empty()) {
    for (auto const& cert : read_file(inventory, "https-ca-file", config.https_ca_file)) {
      inventory.reports.push_back(report_of("https-ca", cert, devices));
      inventory.reports.back().file = config.https_ca_file;
    }
  }
  std::vector<sys::Cert> of_file;
  if (!config.https_certificate_file.empty()) {
    of_file = read_file(inventory, "https-certificate-file", config.https_certificate_file);
    add_file(inventory, of_file, config.https_certificate_file, devices);
  }
  if (live) add_served(inventory, config.server_url, of_file, devices);
}

}  // namespace service
