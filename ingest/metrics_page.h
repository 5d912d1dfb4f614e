// The text of /metrics, in Prometheus' exposition format. Every name is described in
// docs/metrics.md.
#pragma once

#include <string>

#include <prometheus/registry.h>

#include "ingest/status_view.h"

namespace sluice {

// What `registry` collects (the histograms) and what the status view counts.
std::string RenderMetrics(const StatusView& status, const prometheus::Registry& registry);

}  // namespace sluice
