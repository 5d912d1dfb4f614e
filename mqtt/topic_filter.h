// Topic filters (MQTT 5, section 4.7).
#pragma once

#include <string_view>

namespace sluice::mqtt {

// Whether a subscription to `filter`, without $share in front, catches what is published on
// `topic`.
bool FilterCatches(std::string_view filter, std::string_view topic);

}  // namespace sluice::mqtt
