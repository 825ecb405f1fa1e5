#include "sys/error.hpp"

namespace sys {

char const* fault_name(Fault fault) noexcept {
  switch (fault) {
    case Fault::bad_request:
      return "bad_request";
    case Fault::unauthenticated:
      return "unauthenticated";
    case Fault::forbidden:
      return "forbidden";
    case Fault::not_found:
      return "not_found";
    case Fault::conflict:
      return "conflict";
    case Fault::unavailable:
      return "unavailable";
    case Fault::upstream:
      return "upstream";
    case Fault::internal:
      return "internal";
  }
  return "internal";
}

int exit_code(Fault fault) noexcept { return fault == Fault::unavailable ? 75 : 1; }

}  // namespace sys
