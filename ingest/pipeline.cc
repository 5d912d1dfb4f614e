#include "ingest/pipeline.h"

#include "auth/identity.h"
#include "base/escape.h"
#include "ingest/database_health.h"
#include "ingest/telemetry_copy.h"
#include "schema/secrets.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

void NoteDay(UnixMicros time, size_t message, std::vector<Batch::Day>* days) {
  const int64_t day = DayOf(time);
  const bool known = !days->empty() && days->back().day == day && days->back().message == message;
  if (!known) days->push_back({day, message});
}

// For the operator, where the reason alone does not say what to look for.
std::string DetailOf(Reason reason, const Message& message, const Batch& batch) {
  if (reason == Reason::kSiteMismatch) return DescribeSites(message, batch);
  return reason == Reason::kIdentityMismatch ? DescribeSender(message) : "";
}

}  // namespace

std::string DescribeSites(const Message& message, const Batch& batch) {
  return "payload " + Escaped(batch.SiteOf(message)) + ", registry " +
         Escaped(message.device->site_id);
}

std::string DescribeSender(const Message& message) {
  return "the broker knows the sender as " + Escaped(message.claim->identity) + ", by its " +
         std::string(StampMethodName(message.claim->method));
}

void Reject(const PipelineShared& shared, Message* message, Reason reason, std::string detail) {
  const bool store = shared.runtime.store_rejects.load(std::memory_order_relaxed) &&
                     shared.flood.Admit(message->key(), reason, message->record->received);
  message->rejection = Rejection{reason, std::move(detail), store};
}

void Pipeline::Decode(const Chunk& chunk, Batch* batch) {
  stamp_keys_ = shared_.stamp_keys.keys();
  Begin(chunk, batch);
  for (const SpoolRecord& record : chunk.records) DecodeOne(record, nullptr, batch);
}

void Pipeline::DecodeAgain(const Chunk& chunk, std::span<const Arrival> arrivals, Batch* batch) {
  Begin(chunk, batch);
  for (size_t i = 0; i < arrivals.size(); ++i) DecodeOne(chunk.records[i], &arrivals[i], batch);
}

void Pipeline::Begin(const Chunk& chunk, Batch* batch) {
  batch->chunk = &chunk;
  batch->messages.clear();
  batch->tuples.clear();
  batch->days.clear();
  batch->messages.reserve(chunk.records.size());
}

void Pipeline::ReadStamp(const SpoolRecord& record, Message* message) const {
  if (record.stamp.empty()) return;
  message->stamped = Stamped::kUnread;
  if (stamp_keys_ == nullptr) return;
  message->claim = stamp_keys_->Verify(record.topic, record.payload, record.stamp);
  message->stamped = message->claim ? Stamped::kGenuine : Stamped::kForged;
}

void Pipeline::DecodeOne(const SpoolRecord& record, const Arrival* before, Batch* batch) {
  Message& message = batch->messages.emplace_back();
  message.record = &record;
  if (before == nullptr) {
    ReadStamp(record, &message);
  } else {
    message.stamped = before->stamped;
    message.claim = before->claim;
  }
  if (!ParseTopic(record.topic, &message.topic)) {
    message.topic = Topic{};
    Reject(shared_, &message, Reason::kBadTopicFormat, "");
    return;
  }
  const uint64_t limit = shared_.runtime.max_payload_bytes.load(std::memory_order_relaxed);
  const size_t size = before == nullptr ? record.payload.size() : before->payload_size;
  if (size > limit) {
    // It is not judged, but what is kept of it should be fit for a replay.
    if (size <= shared_.options.kept_payload_bytes) Examine(record, before, &message);
    Reject(shared_, &message, Reason::kPayloadTooLarge,
           "payload has " + std::to_string(size) + " bytes, at most " + std::to_string(limit) +
               " are allowed");
    return;
  }
  if (!Examine(record, before, &message)) {
    Reject(shared_, &message, failure_.reason, failure_.detail);
    return;
  }
  EncodeRows(envelope_, &message, batch);
}

bool Pipeline::Examine(const SpoolRecord& record, const Arrival* before, Message* message) {
  const bool good = decoder_.Decode(record.payload, message->topic.tenant, message->topic.device,
                                    record.received, shared_.options.decode, &envelope_, &failure_);
  message->payload_is_json = decoder_.payload_is_jsonb();
  const auto token = decoder_.provision_token();
  if (before != nullptr && (before->token || token == kCutTokenValue)) {
    message->token = before->token;
  } else if (token) {
    message->token = Sha256(*token);
  }
  return good;
}

void Pipeline::EncodeRows(const Envelope& envelope, Message* message, Batch* batch) {
  message->event_time = envelope.readings.front().time;
  // A later place may be there already when the chunk is of a backlog behind live traffic.
  if (envelope.latitude && envelope.longitude && !batch->chunk->behind) {
    message->location = Location{*envelope.latitude, *envelope.longitude};
  }
  message->tuples_begin = batch->tuples.size();
  for (const Reading& reading : envelope.readings) {
    message->site_begin = AppendTelemetryTuple(message->topic, envelope.site_id, reading,
                                               message->record->received, &batch->tuples);
    NoteDay(reading.time, batch->messages.size() - 1, &batch->days);
  }
  message->site_size = envelope.site_id.size();
  message->tuples_end = batch->tuples.size();
  message->rows = static_cast<uint32_t>(envelope.readings.size());
}

PgStatus Pipeline::Resolve(Batch* batch) {
  std::vector<DeviceKeyView> keys;
  std::vector<Message*> asking;
  for (Message& message : batch->messages) {
    if (!message.accepted()) continue;
    keys.push_back(message.key());
    asking.push_back(&message);
  }
  if (keys.empty()) return PgOk{};
  auto devices = shared_.directory.Resolve(keys, store_);
  if (!devices.ok()) return devices.error();
  for (size_t i = 0; i < asking.size(); ++i) asking[i]->device = std::move((*devices)[i]);
  return shared_.options.auto_provision ? ProvisionMissing(batch) : PgOk{};
}

// Message by message, in order: who comes first gets the place that is left. Nobody is added for a
// sender that is not proven; the message fails check 9.
PgStatus Pipeline::ProvisionMissing(Batch* batch) {
  for (Message& message : batch->messages) {
    if (!message.accepted() || message.device || CheckSender(message)) continue;
    auto provisioned = store_.Provision(message.key(), batch->SiteOf(message));
    if (!provisioned.ok() && Classify(provisioned.error()) == Failure::kPoison) {
      Reject(shared_, &message, Reason::kStorageRejected, provisioned.error().Describe());
      continue;
    }
    if (!provisioned.ok()) return provisioned.error();
    if (*provisioned == Provisioned::kNoCapacity) {
      Reject(shared_, &message, Reason::kNoSubscriptionCapacity, "");
      continue;
    }
    shared_.directory.Forget(message.key());
    const DeviceKeyView key = message.key();
    auto devices = shared_.directory.Resolve({&key, 1}, store_);
    if (!devices.ok()) return devices.error();
    message.device = std::move(devices->front());
  }
  return PgOk{};
}

void Pipeline::Decide(Batch* batch) {
  for (Message& message : batch->messages) {
    if (!message.accepted()) continue;
    if (const auto reason = Check(message, *batch)) {
      Reject(shared_, &message, *reason, DetailOf(*reason, message, *batch));
    }
  }
}

std::optional<Reason> Pipeline::CheckSender(const Message& message) const {
  const bool required = shared_.options.auth.identity == IdentityMode::kStamp;
  switch (message.stamped) {
    case Stamped::kNo:
      return required ? std::optional(Reason::kIdentityMissing) : std::nullopt;
    case Stamped::kUnread:
      return required ? std::optional(Reason::kIdentityForged) : std::nullopt;
    case Stamped::kForged:
      return Reason::kIdentityForged;
    case Stamped::kGenuine:
      break;
  }
  const bool own = ParseDeviceIdentity(message.claim->identity) == message.key();
  return own ? std::nullopt : std::optional(Reason::kIdentityMismatch);
}

std::optional<Reason> Pipeline::Check(const Message& message, const Batch& batch) {
  if (!message.device) return Reason::kUnregisteredDevice;
  const DeviceRecord& device = *message.device;
  if (device.subscription == Subscription::kSuspended) return Reason::kSubscriptionSuspended;
  if (device.subscription == Subscription::kExpired) return Reason::kSubscriptionExpired;
  if (!device.active) return Reason::kDeviceRevoked;
  if (device.site_id != batch.SiteOf(message)) return Reason::kSiteMismatch;
  if (const auto reason = CheckSender(message)) return reason;
  const AuthPolicy& policy = shared_.options.auth;
  std::optional<StampClaim> stamped;
  if (policy.identity == IdentityMode::kStamp) stamped = message.claim;
  if (const auto reason =
          Authenticate(policy, device, message.token, stamped, message.record->received)) {
    return reason;
  }
  if (!shared_.limiter.Allow(batch.chunk->lane, message.key(), message.record->received,
                             shared_.runtime.rate_limit_rps.load(std::memory_order_relaxed),
                             shared_.runtime.rate_limit_burst.load(std::memory_order_relaxed))) {
    return Reason::kRateLimited;
  }
  return std::nullopt;
}

}  // namespace sluice
