// What is said about each kind of certificate: its name, what happens when it runs out, what to do next.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace service {

struct CertWords {
  std::string_view kind;
  std::string_view title;
  std::string_view consequence;  // %n stands for "3 devices"
  std::string_view next_step;    // a command, or a step in a portal
};
// Of a kind that is not known: only its title, "Certificate".
CertWords cert_words(std::string_view kind);

std::string devices_text(std::int64_t count);  // "1 device", "3 devices"
std::string fill_devices(std::string_view text, std::int64_t count);

}  // namespace service
