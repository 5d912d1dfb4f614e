#include "auth/pki/common_name.h"

#include "auth/identity.h"

namespace sluice {

Result<std::string> DeviceName(std::string_view tenant, std::string_view device) {
  std::string name(tenant);
  name.append("/").append(device);
  if (!ParseDeviceIdentity(name)) {
    return Status(
        ErrorCode::kInvalidArgument,
        "\"" + name +
            "\" names no device: tenant and device are each 1 to 128 of A-Z a-z 0-9 . _ : - "
            "and neither \".\" nor \"..\"");
  }
  return name;
}

Result<std::string> DeviceCommonName(std::string_view tenant, std::string_view device) {
  Result<std::string> name = DeviceName(tenant, device);
  if (!name.ok() || name->size() <= kMaxCommonNameBytes) return name;
  return Status(ErrorCode::kInvalidArgument,
                *name + " has more than the 64 bytes that a certificate's common name may have");
}

}  // namespace sluice
