#include "auth/identity.h"

#include "schema/topic.h"

namespace sluice {

bool IsAccountName(std::string_view text) {
  return IsTopicSegment(text) && text != "." && text != "..";
}

std::optional<DeviceKeyView> ParseDeviceIdentity(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const DeviceKeyView key{text.substr(0, slash), text.substr(slash + 1)};
  // A second slash is not in the alphabet of segments.
  if (!IsAccountName(key.tenant) || !IsAccountName(key.device)) return std::nullopt;
  return key;
}

}  // namespace sluice
