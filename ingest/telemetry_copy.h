// The telemetry table's tuples for binary COPY.
#pragma once

#include <string>
#include <string_view>

#include "schema/envelope.h"
#include "schema/topic.h"

namespace sluice {

// The columns of a tuple, in order, for COPY telemetry (…).
inline constexpr std::string_view kTelemetryColumns =
    "time, tenant_id, device_id, site_id, msg_type, seq, metrics, received_at";

// Appends one tuple and returns where in *out the site_id's text begins.
size_t AppendTelemetryTuple(const Topic& topic, std::string_view site_id, const Reading& reading,
                            UnixMicros received, std::string* out);

}  // namespace sluice
