// The daemon that the settings belong to, if it runs on this machine.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "ingest/settings.h"

namespace sluice {

struct DaemonHere {
  std::optional<pid_t> pid;  // of whoever works on SPOOL_DIR
  bool answers = false;      // at HTTP_PORT, in Sluice's words; what follows is what it says
  bool ready = false;
  std::vector<std::string> reasons;  // why it is not
  std::vector<std::string> notes;
  bool subscribed = false;        // at the broker
  std::optional<double> dropped;  // sluice_broker_dropped_messages

  bool runs() const { return pid.has_value() || answers; }
};

// A few seconds at most.
DaemonHere LookForDaemon(const Settings& settings);

}  // namespace sluice
