// Inside of service/cert_report: the certificates of HTTPS, from files and from the server itself.
#pragma once

#include "service/cert_report.hpp"

namespace service {

// https-ca-file, https-certificate-file (leaf first) and, with `live`, what server-url shows.
void add_https(Inventory& inventory, Config const& config, bool live, std::int64_t devices);

}  // namespace service
