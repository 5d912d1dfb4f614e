// The judge: compares what was acknowledged, read from the publisher's log and from the wire, with
// what is in the database. Every message has an id of its own, "tenant device seq".
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/postgres.h"
#include "tests/fault/mqtt_tap.h"

namespace sluice::testing {

struct Judgement {
  size_t acknowledged = 0;      // by the broker to the publishers
  size_t lost = 0;              // L: acknowledged by broker or daemon, and in no table
  size_t duplicated = 0;        // D: rows and quarantine entries beyond one for each message
  size_t wrongly_accepted = 0;  // W: rows of messages with a fault
  std::string example_lost;     // an id, when there is one
  std::unordered_set<std::string> lost_ids;
  std::string example_duplicated;
};

// What the publishers know: message → whether it is a good one.
using AckLog = std::unordered_map<std::string, bool>;
AckLog ReadAckLog(const std::string& path);

// Reads telemetry and quarantine_events. `tap` may be null; with it, what the daemon acknowledged
// is asked for, too, and a message that the broker handed over twice (because its publisher sent it
// twice) may stand twice.
Judgement Judge(PgConnection& db, const AckLog& published, const MqttTap* tap);

}  // namespace sluice::testing
