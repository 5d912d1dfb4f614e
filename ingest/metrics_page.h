// The text of /metrics, in Prometheus' exposition format. Every name is described in
// docs/metrics.md.
#pragma once

#include <string>

#include <prometheus/registry.h>

#include "base/http_server.h"
#include "ingest/status_view.h"

namespace sluice {

// What `registry` collects (the histograms), and what the status view and the HTTP server count.
std::string RenderMetrics(const StatusView& status, const HttpStats& http,
                          const prometheus::Registry& registry);

}  // namespace sluice
