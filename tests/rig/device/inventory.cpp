#include "inventory.hpp"

#include <map>

#include "bytes.hpp"
#include "messages.hpp"

namespace device {
namespace {

constexpr int application_count = 200;

// A hardware address that belongs to the device and the given interface.
std::string mac_address(const Device& device, const char* port) {
  const std::string bytes = digest(device.udid + port, EVP_sha256());
  std::string text = "02";
  for (std::size_t i = 0; i < 5; ++i) text += ':' + hex(bytes.substr(i, 1));
  return text;
}

std::map<std::string, Value> common_properties(const Device& device) {
  const Model model = model_of(device.kind);
  return {{"UDID", device.udid},
          {"ProvisioningUDID", device.udid},
          {"SerialNumber", device.serial},
          {"DeviceName", device.name},
          {"ModelName", model.name},
          {"Model", model.model},
          {"ModelNumber", std::string(model.model) + "LL/A"},
          {"ProductName", model.product},
          {"OSVersion", model.os_version},
          {"BuildVersion", model.build},
          {"SupplementalBuildVersion", model.build},
          {"DeviceCapacity", 494.38},
          {"AvailableDeviceCapacity", 312.04},
          {"WiFiMAC", mac_address(device, "wifi")},
          {"BluetoothMAC", mac_address(device, "bluetooth")},
          {"PushToken", Data{device.channel.token}},
          {"IsSupervised", false},
          {"IsMultiUser", false},
          {"AwaitingConfiguration", device.awaiting_configuration},
          {"IsActivationLockEnabled", false},
          {"IsDeviceLocatorServiceEnabled", false},
          {"iTunesStoreAccountIsActive", true},
          {"TimeZone", "Europe/Berlin"}};
}

std::map<std::string, Value> mac_properties(const Device& device) {
  return {{"HostName", device.serial + ".local"},
          {"LocalHostName", device.serial},
          {"EthernetMAC", mac_address(device, "ethernet")},
          {"IsAppleSilicon", true},
          {"SupportsLOMDevice", false},
          {"PINRequiredForEraseDevice", false},
          {"PINRequiredForDeviceLock", false},
          {"SoftwareUpdateDeviceID", "J314sAP"},
          {"OSUpdateSettings",
           Dict{{"AutomaticCheckEnabled", true}, {"CatalogURL", ""}, {"IsDefaultCatalog", true}}}};
}

std::map<std::string, Value> iphone_properties(const Device& device) {
  return {{"IMEI", imei_of(device)},
          {"MEID", imei_of(device).substr(0, 14)},
          {"BatteryLevel", 0.87},
          {"CellularTechnology", 3},
          {"ModemFirmwareVersion", "3.60.02"},
          {"IsMDMLostModeEnabled", false},
          {"IsCloudBackupEnabled", true},
          {"SoftwareUpdateDeviceID", "iPhone14,5"}};
}

}  // namespace

std::optional<Value> device_property(const Device& device, const std::string& query) {
  auto properties = common_properties(device);
  properties.merge(device.kind == Kind::mac ? mac_properties(device) : iphone_properties(device));
  const auto at = properties.find(query);
  return at == properties.end() ? std::nullopt : std::optional<Value>(at->second);
}

Dict security_info(const Device& device) {
  const Dict management{{"EnrolledViaDEP", false},
                        {"IsUserEnrollment", false},
                        {"UserApprovedEnrollment", true},
                        {"IsActivationLockManageable", false}};
  if (device.kind == Kind::iphone)
    return {{"HardwareEncryptionCaps", 3},
            {"PasscodePresent", true},
            {"PasscodeCompliant", true},
            {"PasscodeCompliantWithProfiles", true},
            {"PasscodeLockGracePeriodEnforced", 0},
            {"ManagementStatus", management}};
  return {{"FDE_Enabled", true},
          {"FDE_HasInstitutionalRecoveryKey", false},
          {"FDE_HasPersonalRecoveryKey", true},
          {"SystemIntegrityProtectionEnabled", true},
          {"AuthenticatedRootVolumeEnabled", true},
          {"IsRecoveryLockEnabled", false},
          {"RemoteDesktopEnabled", false},
          {"FirewallSettings", Dict{{"FirewallEnabled", true},
                                    {"BlockAllIncoming", false},
                                    {"StealthMode", false},
                                    {"Applications", Array{}}}},
          {"SecureBoot", Dict{{"SecureBootLevel", "full"}, {"ExternalBootLevel", "not supported"}}},
          {"ManagementStatus", management}};
}

Array application_list(const Device& device) {
  Array applications;
  for (int i = 1; i <= application_count; ++i) {
    const std::string number = std::to_string(i);
    Dict application{{"Identifier", "com.example.app" + number},
                     {"Name", "Anwendung & Test " + number},
                     {"ShortVersion", "1." + number},
                     {"Version", number + ".0.1"},
                     {"BundleSize", std::int64_t{1048576} * i},
                     {"Installing", false}};
    if (device.kind == Kind::iphone) application.set("DynamicSize", 4096 * i);
    applications.emplace_back(std::move(application));
  }
  return applications;
}

Array certificate_list(const Device& device) {
  Array certificates;
  const auto add = [&](X509* certificate, bool identity) {
    certificates.emplace_back(Dict{{"CommonName", common_name(certificate)},
                                   {"IsIdentity", identity},
                                   {"Data", Data{to_der(certificate)}}});
  };
  for (const std::string& root : device.roots) add(certificate_from_pem(root).get(), false);
  add(device.identity.certificate.get(), true);
  return certificates;
}

Array profile_list(const Device& device) {
  Array profiles;
  const auto add = [&](const InstalledProfile& profile) {
    profiles.emplace_back(Dict{{"PayloadIdentifier", profile.identifier},
                               {"PayloadUUID", profile.uuid},
                               {"PayloadDisplayName", profile.display_name},
                               {"PayloadVersion", 1},
                               {"HasRemovalPasscode", false},
                               {"IsEncrypted", false},
                               {"IsManaged", true},
                               {"PayloadRemovalDisallowed", false},
                               {"PayloadContent", Array{}}});
  };
  add(device.enrolment_profile);
  for (const InstalledProfile& profile : device.profiles) add(profile);
  return profiles;
}

}  // namespace device
