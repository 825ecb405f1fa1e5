#include "error.hpp"
#include "options.hpp"
namespace device {
int fleet_command(const Options&) { throw Error("fleets are not there yet"); }
}  // namespace device
