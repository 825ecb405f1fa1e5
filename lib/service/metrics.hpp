// `pomona metrics`: the state of the server as Prometheus text (exposition format 0.0.4), for node_exporter's
// textfile collector. Of a schema that lacks steps only that is told. Names and labels are stable; no label
// holds a secret or a device's id.
#pragma once

#include <string>

#include "service/config.hpp"
#include "sys/mariadb.hpp"
#include "sys/time.hpp"

namespace service {

std::string metrics_text(sys::Db& db, Config const& config, bool live, sys::Time now);

}  // namespace service
