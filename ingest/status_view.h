// StatusView: everything the outside may ask about a running daemon, read in one place: by /health,
// /ready, /metrics and the log.
#pragma once

#include <prometheus/client_metric.h>

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "auth/authenticator.h"
#include "auth/device_directory.h"
#include "auth/rate_limiter.h"
#include "base/build_info.h"
#include "base/clock.h"
#include "cache/change_listener.h"
#include "ingest/accounting.h"
#include "ingest/database_health.h"
#include "ingest/housekeeper.h"
#include "ingest/spool/spool.h"
#include "ingest/subscriber.h"
#include "quarantine/flood_control.h"

namespace sluice {

// Said with IDENTITY_MODE=topic, in /ready and in the log.
inline constexpr std::string_view kTopicModeMeans =
    "IDENTITY_MODE=topic: only the topic says who has sent a message; without a token in it, any "
    "client that the broker lets publish there passes for the device";

enum class Phase {
  kStarting,  // until the ledger and app_settings have been read and the workers run
  kWorking,
  kStopping,
};

// References to parts that outlive the view; all are thread-safe.
struct StatusView {
  const BuildInfo& build;
  const std::string& service;
  const IdentityMode identity_mode;
  const Spool& spool;
  const Accounting& accounting;
  const DatabaseHealth& database;
  const Subscriber& subscriber;
  const DeviceDirectory& directory;
  const ChangeListener& listener;
  const RateLimiter& limiter;
  const FloodControl& flood;
  const Housekeeper& housekeeper;
  const std::atomic<Phase>& phase;
  // Set when it was told to leave for good.
  const std::atomic<bool>& draining;
  const Clock& clock;

  // Why a message would not be taken and stored right now; empty when it would.
  std::vector<std::string> ReasonsNotReady() const;
};

// Bodies of the answers. Ready JSON: {"ready":…, "reasons":[…], …}; health JSON as the old service
// had it; status JSON as console/openapi.json says. `latency`: from arrival to commit. `actions`:
// the console may change messages.
std::string HealthJson(const StatusView& status);
std::string ReadyJson(const StatusView& status, const std::vector<std::string>& reasons);
std::string StatusJson(const StatusView& status, const prometheus::ClientMetric::Histogram& latency,
                       bool actions);

}  // namespace sluice
