#include "answers.hpp"

#include <algorithm>

#include "inventory.hpp"

namespace device {
namespace {

Dict chain_link(const std::string& domain, int code, const std::string& text) {
  return {{"ErrorCode", code},
          {"ErrorDomain", domain},
          {"LocalizedDescription", text},
          {"USEnglishDescription", text}};
}

Answer failed(Array chain, const std::string& remark) {
  Answer answer;
  answer.status = "Error";
  answer.keys.set("ErrorChain", std::move(chain));
  answer.remark = remark;
  return answer;
}

Answer malformed(const std::string& key) {
  Answer answer;
  answer.status = "CommandFormatError";
  answer.remark = "the command lacks " + key;
  return answer;
}

Answer acknowledged(Dict keys = {}, const std::string& remark = "",
                    Answer::Then then = Answer::Then::nothing) {
  return {"Acknowledged", std::move(keys), remark, then};
}

// Simply acknowledged, without anything happening on the device.
const std::set<std::string>& acknowledged_types() {
  static const std::set<std::string> types{"AccountConfiguration",
                                           "ActiveNSExtensions",
                                           "ApplyRedemptionCode",
                                           "ClearActivationLockBypassCode",
                                           "ClearRestrictionsPassword",
                                           "DeleteUser",
                                           "DeviceConfigured",
                                           "DeviceLock",
                                           "DisableLostMode",
                                           "DisableRemoteDesktop",
                                           "EnableLostMode",
                                           "EnableRemoteDesktop",
                                           "EraseDevice",
                                           "InstallApplication",
                                           "InstallEnterpriseApplication",
                                           "InstallMedia",
                                           "InstallProvisioningProfile",
                                           "LogOutUser",
                                           "ManagedApplicationConfiguration",
                                           "PlayLostModeSound",
                                           "RefreshCellularPlans",
                                           "RemoveApplication",
                                           "RemoveMedia",
                                           "RemoveProvisioningProfile",
                                           "RequestMirroring",
                                           "RestartDevice",
                                           "RotateFileVaultKey",
                                           "ScheduleOSUpdate",
                                           "ScheduleOSUpdateScan",
                                           "SetAutoAdminPassword",
                                           "SetFirmwarePassword",
                                           "SetRecoveryLock",
                                           "ShutDownDevice",
                                           "StopMirroring",
                                           "UnlockUserAccount",
                                           "UserConfigured",
                                           "DeclarativeManagement"};
  return types;
}

// Lists that are empty on this device: report key by request type.
std::optional<std::string> empty_list_key(const std::string& type) {
  if (type == "ProvisioningProfileList" || type == "AvailableOSUpdates" || type == "OSUpdateStatus" ||
      type == "ManagedApplicationAttributes" || type == "ManagedApplicationFeedback")
    return type;
  if (type == "ManagedMediaList") return "Books";
  if (type == "UserList") return "Users";
  return std::nullopt;
}

Answer device_information(const Device& device, const Dict& command) {
  const Array* queries = command.array("Queries");
  if (queries == nullptr) return malformed("Queries");
  Dict responses;
  for (const Value& query : *queries)
    if (const std::string* name = query.string())
      if (const auto value = device_property(device, *name)) responses.set(*name, *value);
  const std::string count = std::to_string(responses.entries().size());
  return acknowledged({{"QueryResponses", responses}},
                      count + " of " + std::to_string(queries->size()) + " queries");
}

Answer list(const std::string& key, Array items) {
  const std::string count = std::to_string(items.size()) + " entries";
  return acknowledged({{key, std::move(items)}}, count);
}

Answer settings(Context& context, const Dict& command) {
  const Array* items = command.array("Settings");
  if (items == nullptr) return malformed("Settings");
  Array results;
  for (const Value& item : *items) {
    const Dict* setting = item.dict();
    const auto name = setting == nullptr ? std::nullopt : setting->string("Item");
    if (!name) return malformed("Item in one of the Settings");
    if (*name == "DeviceName")
      context.device.name = setting->string("DeviceName").value_or(context.device.name);
    results.emplace_back(Dict{{"Item", *name}, {"Status", "Acknowledged"}});
  }
  context.device.save();
  return list("Settings", std::move(results));
}

Answer install_profile(Context& context, const Dict& command) {
  const auto payload = command.data("Payload");
  if (!payload) return malformed("Payload");
  try {
    install(context, *payload);
    return {};
  } catch (const Error& error) {
    return failed({chain_link("MCInstallationErrorDomain", 4001, "Profile Installation Failed"),
                   chain_link("MCProfileErrorDomain", 1000, error.what())},
                  error.what());
  }
}

Answer remove_profile(Context& context, const Dict& command) {
  Device& device = context.device;
  const auto identifier = command.string("Identifier");
  if (!identifier) return malformed("Identifier");
  if (*identifier == device.enrolment_profile.identifier)
    return acknowledged({}, "the enrolment profile: management ends", Answer::Then::leave);
  if (std::erase_if(device.profiles,
                    [&](const InstalledProfile& p) { return p.identifier == *identifier; }) == 0)
    return failed({chain_link("MCMDMErrorDomain", 12075, "The profile is not installed.")}, "not installed");
  device.save();
  return {};
}

Answer clear_passcode(const Device& device, const Dict& command) {
  const auto token = command.data("UnlockToken");
  if (!token) return malformed("UnlockToken");
  if (*token == device.unlock_token && !token->empty()) return {};
  return failed({chain_link("MCMDMErrorDomain", 12010, "The unlock token is not valid.")},
                "wrong unlock token");
}

Answer plain(Context& context, const std::string& type, const Dict& command) {
  Device& device = context.device;
  if (type == "DeviceConfigured") device.awaiting_configuration = false;
  device.save();
  if (type == "EraseDevice") return acknowledged({}, "the device is erased", Answer::Then::vanish);
  if (type == "DeviceLock" && command.has("Message")) return acknowledged({{"MessageResult", "Success"}}, "");
  if (type == "ScheduleOSUpdateScan") return acknowledged({{"ScanInitiated", true}}, "");
  if (type == "ScheduleOSUpdate") return list("UpdateResults", {});
  return {};
}

}  // namespace

Answer answer(Context& context, const std::string& type, const Dict& command, const Whims& whims) {
  const Device& device = context.device;
  if (whims.not_now.count(type) != 0)
    return {"NotNow", {}, "as asked for by --not-now", Answer::Then::nothing};
  if (whims.error.count(type) != 0)
    return failed({chain_link("MCMDMErrorDomain", 12026, "The command failed.")}, "as asked for by --error");
  if (type == "DeviceInformation") return device_information(device, command);
  if (type == "SecurityInfo") return acknowledged({{"SecurityInfo", security_info(device)}}, "");
  if (type == "ProfileList") return list("ProfileList", profile_list(device));
  if (type == "CertificateList") return list("CertificateList", certificate_list(device));
  if (type == "InstalledApplicationList") return list("InstalledApplicationList", application_list(device));
  if (type == "ManagedApplicationList") return acknowledged({{"ManagedApplicationList", Dict{}}}, "none");
  if (type == "Restrictions")
    return acknowledged({{"GlobalRestrictions", Dict{}}, {"ProfileRestrictions", Dict{}}}, "");
  if (type == "InstallProfile") return install_profile(context, command);
  if (type == "RemoveProfile") return remove_profile(context, command);
  if (type == "ClearPasscode") return clear_passcode(device, command);
  if (type == "Settings") return settings(context, command);
  if (const auto key = empty_list_key(type)) return list(*key, {});
  if (acknowledged_types().count(type) != 0) return plain(context, type, command);
  return failed({chain_link("MCMDMErrorDomain", 12021, "“" + type + "” is not a valid request type.")},
                "this device does not know the request type");
}

}  // namespace device
