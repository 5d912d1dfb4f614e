// The simulated fleet: publishes on a fixed timetable whatever the broker does (open loop), and
// accounts for every message until the broker has acknowledged it. A message carries the moment at
// which it was due, not that of its sending: a fleet that is late makes messages that are old.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>

#include "base/status.h"
#include "loadtest/links.h"
#include "loadtest/message.h"
#include "loadtest/model.h"
#include "loadtest/progress.h"

namespace sluice::loadtest {

struct FleetOptions {
  LinkOptions links;
  FleetShape shape;
  MessageOptions message;  // its proof and its dialect are the links', too
  double rate = 2000;      // messages a second
  int64_t seconds = 0;     // 0: no end by time
  uint64_t count = 0;      // 0: no end by number
  // Besides the steady rate, so many messages at one moment, after every so many seconds.
  double burst_every = 0;  // 0: none
  uint64_t burst_size = 0;
  double storm_every = 0;  // seconds; then all connections are cut and come back. 0: never
  std::vector<Kind> bad_kinds;
  double bad_percent = 1;  // of all messages, for each of bad_kinds; together below 100
  uint64_t first_seq = 1;
  uint64_t seed = 1;
  int64_t drain_seconds = 30;         // how long to wait for the last acknowledgements
  std::string ack_log;                // path, or empty
  bool quiet = false;                 // no line a second on standard error
  FleetProgress* progress = nullptr;  // kept up to date, if there is one
};

struct FleetReport {
  uint64_t published = 0;
  uint64_t acknowledged = 0;  // at QoS 0: taken by the kernel
  uint64_t good = 0;          // of the acknowledged
  uint64_t bad = 0;
  uint64_t refused = 0;    // by the broker, with a reason code of MQTT 5
  uint8_t refusal = 0;     // the last such reason code
  double seconds = 0;      // from the first message to the end of publishing
  int64_t lag_ms_max = 0;  // how late the latest message was against the timetable

  bool complete() const { return acknowledged == published; }
  std::string Line() const;
};

// Runs until the timetable ends, *stop becomes non-zero or something fails, then waits for the
// outstanding acknowledgements. The report is filled in either way. Single-threaded. The process
// ignores SIGPIPE from then on, and may open as many files as it is allowed to.
Status RunFleet(const FleetOptions& options, const volatile std::sig_atomic_t* stop,
                FleetReport* report);

}  // namespace sluice::loadtest
