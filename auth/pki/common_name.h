// The common name of a device's certificate: the user name that the broker sees.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice {

// X.509 has no longer ones (RFC 5280, ub-common-name), though a topic could name a longer device.
inline constexpr size_t kMaxCommonNameBytes = 64;

// "tenant/device" if it is an identity as auth/identity.h has it, or a sentence about what is
// wrong.
Result<std::string> DeviceName(std::string_view tenant, std::string_view device);

// The same, if a certificate can have it as its common name.
Result<std::string> DeviceCommonName(std::string_view tenant, std::string_view device);

}  // namespace sluice
