// The common name of a device's certificate: the user name that the broker sees.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice {

// X.509 has no longer ones (RFC 5280, ub-common-name), though a topic could name a longer device.
inline constexpr size_t kMaxCommonNameBytes = 64;

// "tenant/device", or a sentence about what is wrong. Both parts are segments of a topic, neither
// is "." or "..", so no name can hold a wildcard, climb out of a directory, or be read as another
// pair.
Result<std::string> DeviceCommonName(std::string_view tenant, std::string_view device);

}  // namespace sluice
