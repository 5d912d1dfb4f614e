// Identities: the names under which the broker knows its clients. A device is `tenant/device`, a
// service is an account's name. The slash tells them apart: no account's name has one.
#pragma once

#include <optional>
#include <string_view>

#include "schema/device_key.h"

namespace sluice {

// `tenant/device`: exactly one '/', each part a segment of a topic (schema/topic.h) and not "." or
// "..". No name of this form can match more than itself in a topic filter. The parts are views into
// `text`; nothing when it is not an identity.
std::optional<DeviceKeyView> ParseDeviceIdentity(std::string_view text);

// One segment of a topic, not "." or "..".
bool IsAccountName(std::string_view text);

}  // namespace sluice
