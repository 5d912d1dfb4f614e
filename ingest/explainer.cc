#include "ingest/explainer.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "auth/registry_store.h"
#include "ingest/housekeeper.h"
#include "ingest/kept_message.h"
#include "ingest/part_options.h"
#include "mqtt/topic_filter.h"
#include "quarantine/review.h"
#include "schema/migrator.h"

namespace sluice {
namespace {

Status Failed(const PgError& error) {
  return {error.connection_lost ? ErrorCode::kUnavailable : ErrorCode::kRejected, error.Describe()};
}

// The registry as it would be if AUTO_PROVISION had added a device.
class UnchangedRegistry final : public CredentialStore {
 public:
  explicit UnchangedRegistry(PgSession& session) : registry_(session) {}

  PgResult<std::vector<DeviceRef>> Lookup(std::span<const DeviceKeyView> keys) override {
    if (newcomer_ != nullptr) return std::vector<DeviceRef>(keys.size(), newcomer_);
    return registry_.Lookup(keys);
  }
  PgResult<Provisioned> Provision(DeviceKeyView key, std::string_view site_id) override {
    const auto room = registry_.HasRoom(key.tenant);
    if (!room.ok()) return room.error();
    if (!*room) return Provisioned::kNoCapacity;
    auto record = std::make_shared<DeviceRecord>();
    record->site_id = site_id;
    record->active = true;
    newcomer_ = std::move(record);
    return Provisioned::kRegistered;
  }
  bool provisioned() const { return newcomer_ != nullptr; }
  PgResult<std::optional<SubscriptionSeen>> SubscriptionOf(DeviceKeyView key) {
    return registry_.SubscriptionOf(key);
  }

 private:
  RegistryStore registry_;
  DeviceRef newcomer_;  // there is only one message
};

PgSession SessionOf(const Settings& settings) {
  return {settings.Conninfo(), settings.pg_connect_timeout, settings.write_timeout};
}

Result<PgConnection*> BeginReading(PgSession& session) {
  auto db = session.Acquire();
  if (!db.ok()) return Failed(db.error());
  auto begun = (*db)->Exec(session.BeginSql() +
                           "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
  if (!begun.ok()) return Failed(begun.error());
  return *db;
}

Status ReadLimits(PgSession& session, const Settings& settings, RuntimeSettings* limits) {
  const Result<PgConnection*> db = BeginReading(session);
  if (!db.ok()) return db.status();
  if (Status fits = CheckSchemaVersion(**db); !fits.ok()) return fits;
  const PgStatus read = ReadAppSettings(**db, settings, limits);
  return read.ok() ? Status::Ok() : Failed(read.error());
}

void Decode(Pipeline& pipeline, const Chunk& chunk, const ExplainedMessage& message, Batch* batch) {
  if (message.stamp) return pipeline.Decode(chunk, batch);
  Arrival arrival;
  arrival.token = message.token;
  arrival.payload_size = message.payload_size.value_or(message.payload.size());
  SetSender(message.identity, message.proof, &arrival);
  pipeline.DecodeAgain(chunk, {&arrival, 1}, batch);
}

Chunk ChunkOf(const ExplainedMessage& message) {
  SpoolRecord record;
  record.received = message.received;
  record.topic = message.topic;
  record.payload = message.payload;
  if (message.stamp) record.stamp = *message.stamp;
  Chunk chunk;
  chunk.records.push_back(record);
  return chunk;
}

void NoteWhetherItComes(const Settings& settings, const std::string& topic,
                        Explanation* explanation) {
  const bool caught =
      std::any_of(settings.mqtt_topic.begin(), settings.mqtt_topic.end(),
                  [&](const auto& filter) { return mqtt::FilterCatches(filter, topic); });
  explanation->taken = caught && !IsOtherChannel(topic);
  if (!caught) {
    explanation->notes.emplace_back(
        "No filter of MQTT_TOPIC catches this topic: the daemon does not get the message.");
  } else if (!explanation->taken) {
    explanation->notes.emplace_back(
        "This is a topic of the downlink: the daemon ignores the message and counts it.");
  }
}

}  // namespace

Result<ExplainedMessage> FetchQuarantinedMessage(const Settings& settings, int64_t id) {
  PgSession session = SessionOf(settings);
  const Result<PgConnection*> db = BeginReading(session);
  if (!db.ok()) return db.status();
  const QuarantineCondition condition({.ids = {id}, .state = ""});
  auto rows = (*db)->ExecParams(kKeptSql + condition.sql(), condition.params());
  if (!rows.ok()) return Failed(rows.error());
  if (rows->size() == 0) {
    return Status(ErrorCode::kNotFound, "there is no message " + std::to_string(id));
  }
  if (rows->IsNull(0, KeptColumns::kPayload)) {
    return Status(ErrorCode::kNotFound,
                  "the payload of message " + std::to_string(id) + " was not kept whole");
  }
  ExplainedMessage message;
  message.topic = rows->Text(0, KeptColumns::kTopic);
  message.payload = BytesFromHex(rows->Text(0, KeptColumns::kPayload));
  message.received = rows->Int(0, KeptColumns::kReceived);
  const Arrival arrival = ArrivalOf(*rows, 0, message.payload.size());
  message.token = arrival.token;
  message.payload_size = arrival.payload_size;
  if (arrival.claim) message.identity = std::string(arrival.claim->identity);
  message.proof = rows->Text(0, KeptColumns::kProof);
  message.came = true;
  return message;
}

Result<Explanation> Explain(const Settings& settings, const ExplainedMessage& message) {
  StampKeyring stamp_keys;
  if (message.stamp && !settings.stamp_key_file.empty()) {
    if (Status loaded = stamp_keys.Load(settings.stamp_key_file); !loaded.ok()) return loaded;
  }
  PgSession session = SessionOf(settings);
  RuntimeSettings limits;
  if (Status read = ReadLimits(session, settings, &limits); !read.ok()) return read;

  UnchangedRegistry registry(session);
  DeviceDirectory directory(DirectoryOptionsFrom(settings), SystemClock());
  RateLimiter limiter;
  FloodControl flood({.per_device = 0, .total = 0});
  const PipelineShared shared{
      PipelineOptionsFrom(settings), limits, directory, limiter, flood, stamp_keys};
  Pipeline pipeline(shared, registry);
  const Chunk chunk = ChunkOf(message);
  Batch batch;
  Decode(pipeline, chunk, message, &batch);
  if (auto resolved = pipeline.Resolve(&batch); !resolved.ok()) return Failed(resolved.error());
  pipeline.Decide(&batch);

  const auto subscription = registry.SubscriptionOf(batch.messages.front().key());
  if (!subscription.ok()) return Failed(subscription.error());
  Explanation explanation =
      ExplainMessage(batch, {.settings = settings,
                             .limits = limits,
                             .payload_size = message.payload_size.value_or(message.payload.size()),
                             .provisioned = registry.provisioned(),
                             .subscription = *subscription});
  if (!message.came) NoteWhetherItComes(settings, message.topic, &explanation);
  return explanation;
}

}  // namespace sluice
