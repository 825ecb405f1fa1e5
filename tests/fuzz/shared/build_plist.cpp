#include "build_plist.hpp"

#include "sys/error.hpp"
#include "sys/plist.hpp"

namespace fuzz {

namespace {

constexpr std::size_t kKeys = 40;
constexpr std::array<std::string_view, kKeys> kNames{"MessageType",
                                                     "Status",
                                                     "CommandUUID",
                                                     "UDID",
                                                     "EnrollmentID",
                                                     "UserID",
                                                     "EnrollmentUserID",
                                                     "UserShortName",
                                                     "UserLongName",
                                                     "Topic",
                                                     "Token",
                                                     "PushMagic",
                                                     "UnlockToken",
                                                     "AwaitingConfiguration",
                                                     "SerialNumber",
                                                     "DeviceName",
                                                     "Model",
                                                     "ModelName",
                                                     "ProductName",
                                                     "OSVersion",
                                                     "BuildVersion",
                                                     "IMEI",
                                                     "MEID",
                                                     "Challenge",
                                                     "BootstrapToken",
                                                     "Data",
                                                     "Endpoint",
                                                     "DigestResponse",
                                                     "ErrorChain",
                                                     "ErrorCode",
                                                     "ErrorDomain",
                                                     "LocalizedDescription",
                                                     "USEnglishDescription",
                                                     "RequestType",
                                                     "QueryResponses",
                                                     "NotOnConsole",
                                                     "TokenServiceType",
                                                     "Command",
                                                     "SecurityInfo",
                                                     "UserConfiguration"};

constexpr std::size_t kTexts = 36;
constexpr std::array<std::string_view, kTexts> kValues{
    "Authenticate",
    "TokenUpdate",
    "CheckOut",
    "UserAuthenticate",
    "SetBootstrapToken",
    "GetBootstrapToken",
    "DeclarativeManagement",
    "GetToken",
    "ReturnToService",
    "Idle",
    "Acknowledged",
    "Error",
    "NotNow",
    "CommandFormatError",
    "FUZZ-TLS",
    "FUZZ-SIGNATURE",
    "FUZZ-FRESH",
    "FUZZ-FRESH-SIGNATURE",
    "FUZZ-EXPIRED",
    "FUZZ-PENDING",
    "FUZZ-USER-ENROLLMENT",
    "FUZZ-COMMAND-1",
    "FUZZ-COMMAND-2",
    "FUZZ-COMMAND-3",
    "FUZZ-COMMAND-4",
    "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555",
    "com.apple.mgmt.External.other",
    "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
    "user-1",
    "jane",
    "DeviceInformation",
    "InstallProfile",
    "iPhone",
    "a push magic that is secret",
    "an unlock token that is secret",
    "status"};

sys::Plist build(Input& input, unsigned depth) {
  switch (input.byte() % 10) {
    case 0:
      return std::string(input.text());
    case 1:
      return sys::PlistData{std::string(input.text())};
    case 2:
      return static_cast<std::int64_t>(input.number());
    case 3:
      return input.byte() % 2 == 0;
    case 4:
      return sys::PlistData{std::string(input.choose(kValues))};
    case 5: {
      sys::PlistArray items;
      for (unsigned count = depth == 0 ? 0U : input.byte() % 4U; count > 0; --count)
        items.push_back(build(input, depth - 1));
      return items;
    }
    case 6: {
      sys::Plist dict;
      for (unsigned count = depth == 0 ? 0U : input.byte() % 8U; count > 0; --count) {
        auto const key = input.choose(kNames);
        dict.set(key, build(input, depth - 1));
      }
      return dict;
    }
    default:
      return input.choose(kValues);
  }
}

}  // namespace

std::string build_plist(Input& input) {
  constexpr unsigned kMostKeys = 16;
  constexpr unsigned kDepth = 3;
  sys::Plist root;
  for (unsigned count = input.byte() % kMostKeys; count > 0; --count) {
    auto const key = input.choose(kNames);
    root.set(key, build(input, kDepth));
  }
  try {
    return sys::write_plist(root);
  } catch (sys::Error const&) {
    return {};
  }
}

}  // namespace fuzz
