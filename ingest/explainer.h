// Explainer: puts one message through the checks of the daemon, against the live registry, and says
// what each saw. Changes nothing: all it asks of PostgreSQL is in one read-only transaction, and of
// one moment.
//
// The checks are the Pipeline's, as for a replay (ingest/replayer.h). Where the daemon would add a
// device (AUTO_PROVISION) it is only asked whether there is room. No rate is spent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "auth/digest.h"
#include "base/clock.h"
#include "base/status.h"
#include "ingest/explanation.h"
#include "ingest/settings.h"

namespace sluice {

struct ExplainedMessage {
  std::string topic;
  std::string payload;
  UnixMicros received = 0;
  // Its user property sluice-stamp as it came; read with the keys of STAMP_KEY_FILE.
  std::optional<std::string> stamp = {};
  // Else whom the broker knew as the sender, and how; see SetSender in ingest/kept_message.h.
  std::optional<std::string> identity = {};
  std::string proof = {};
  std::optional<Sha256Digest> token = {};     // of a token that was cut out
  std::optional<uint64_t> payload_size = {};  // before that
  bool came = false;                          // whatever MQTT_TOPIC catches now
};

// One that the quarantine has kept whole. kNotFound when there is none of that number.
Result<ExplainedMessage> FetchQuarantinedMessage(const Settings& settings, int64_t id);

// kUnavailable when PostgreSQL does not answer, kRejected when it refuses or is not migrated,
// kInvalidArgument when STAMP_KEY_FILE is wanted and cannot be read.
Result<Explanation> Explain(const Settings& settings, const ExplainedMessage& message);

}  // namespace sluice
