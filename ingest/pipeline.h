// Pipeline: the checks, from topic to rate limit, in the order of docs/architecture.md. The first
// failure decides.
//
// Three steps, because the middle one asks PostgreSQL once for a whole chunk:
//   Decode   checks 1 to 8, on the message alone, and whom its stamp names
//   Resolve  what the registry says about the devices
//   Decide   checks 9 to 15
#pragma once

#include <span>
#include <string>

#include "auth/authenticator.h"
#include "auth/device_directory.h"
#include "auth/rate_limiter.h"
#include "auth/stamp_keyring.h"
#include "ingest/batch.h"
#include "ingest/runtime_settings.h"
#include "quarantine/flood_control.h"
#include "schema/envelope.h"

namespace sluice {

struct PipelineOptions {
  DecodeLimits decode;
  AuthPolicy auth;
  bool auto_provision = false;    // AUTO_PROVISION
  size_t kept_payload_bytes = 0;  // QUARANTINE_PAYLOAD_MAX_BYTES
};

// What all workers share; everything in it is thread-safe and outlives them.
struct PipelineShared {
  const PipelineOptions options;
  const RuntimeSettings& runtime;
  DeviceDirectory& directory;
  RateLimiter& limiter;
  FloodControl& flood;
  const StampKeyring& stamp_keys;
};

// What was seen of a message when it came, and what is stored of it does not show any more: its
// stamp is not kept, and its token was cut out.
struct Arrival {
  Stamped stamped = Stamped::kNo;
  std::optional<StampClaim> claim = {};
  std::optional<Sha256Digest> token =
      {};                   // nothing: it had none, or it stands in the payload still
  size_t payload_size = 0;  // before anything was cut
};

// One for each worker; not thread-safe.
class Pipeline {
 public:
  Pipeline(const PipelineShared& shared, CredentialStore& store) : shared_(shared), store_(store) {}

  void Decode(const Chunk& chunk, Batch* batch);
  // The same for messages that came before; `arrivals` has one entry a record.
  void DecodeAgain(const Chunk& chunk, std::span<const Arrival> arrivals, Batch* batch);
  // An error leaves the batch as it was: try again, the answer is never taken for "unregistered".
  PgStatus Resolve(Batch* batch);
  // Spends the devices' rate limit: call once a batch.
  void Decide(Batch* batch);

 private:
  void Begin(const Chunk& chunk, Batch* batch);
  // `before` is null for a message that comes now.
  void DecodeOne(const SpoolRecord& record, const Arrival* before, Batch* batch);
  void ReadStamp(const SpoolRecord& record, Message* message) const;
  // Checks 3 to 8: fills envelope_ or failure_, and what the message needs to know of its payload.
  bool Examine(const SpoolRecord& record, const Arrival* before, Message* message);
  void EncodeRows(const Envelope& envelope, Message* message, Batch* batch);
  PgStatus ProvisionMissing(Batch* batch);
  // Check 13.
  std::optional<Reason> CheckSender(const Message& message) const;
  std::optional<Reason> Check(const Message& message, const Batch& batch);

  const PipelineShared& shared_;
  CredentialStore& store_;
  std::shared_ptr<const StampKeys> stamp_keys_;  // for the batch; null: no stamp is looked at
  EnvelopeDecoder decoder_;
  Envelope envelope_;
  DecodeFailure failure_;
};

// For the operator, escaped: what payload and registry say of the device's site; and whom a genuine
// stamp names.
std::string DescribeSites(const Message& message, const Batch& batch);
std::string DescribeSender(const Message& message);

// Marks the message rejected and asks flood control whether it is to be stored.
void Reject(const PipelineShared& shared, Message* message, Reason reason, std::string detail);

}  // namespace sluice
