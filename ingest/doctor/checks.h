// The areas of `sluice doctor`. Each looks at one part of what a daemon needs, changes nothing,
// bounds its waits, and goes on after a check that failed. Any thread.
#pragma once

#include <vector>

#include "ingest/doctor/daemon.h"
#include "ingest/doctor/finding.h"
#include "ingest/settings.h"

namespace sluice {

struct Patient {
  SettingsAndErrors given;
  DaemonHere daemon;
  bool may_log_in = true;  // at the broker

  const Settings& settings() const { return given.settings; }
};

// What will not do, contradicts each other, or promises less than it seems to.
std::vector<Finding> CheckSettings(const Patient& patient);

// Resolves, connects, logs in, subscribes, keeps a session, tells what it drops.
//
// A running daemon is asked instead: a broker that takes the account for the client id (see
// deploy/mosquitto/listeners.conf) would throw it out. For the same reason a session that is there
// already is left as it is, and one that is not is made with the daemon's expiry first and given a
// short one at the end: whosever it is, no message of it is lost. Subscriptions are never shared.
std::vector<Finding> CheckBroker(const Patient& patient);

// The server, the schema, the role's rights, row level security, partitions; and the clock.
std::vector<Finding> CheckDatabase(const Patient& patient);

// The spool's directory, its disk, and descriptors.
std::vector<Finding> CheckDisk(const Patient& patient);

// The dates of the files of PKI_WATCH_FILES and MQTT_*.
std::vector<Finding> CheckCertificates(const Patient& patient);

// HTTP_PORT is free, or the daemon answers there; then what its /ready says.
std::vector<Finding> CheckHttp(const Patient& patient);

}  // namespace sluice
