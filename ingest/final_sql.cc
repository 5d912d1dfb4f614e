#include "ingest/final_sql.h"

#include <cstdio>
#include <map>
#include <set>

#include "base/escape.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

constexpr size_t kMaxNotifyBytes = 7900;  // PostgreSQL allows 7999

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

std::string NotifyOne(PgConnection& db, const std::string& tenants) {
  return "SELECT pg_notify('telemetry_inserted', " +
         db.QuoteLiteral("{\"tenant_ids\":[" + tenants + "]}") + "); ";
}

}  // namespace

std::string CountersSql(PgConnection& db, const QuarantineBatch::Counters& counters) {
  if (counters.empty()) return "";
  std::string sql =
      "INSERT INTO quarantine_counters_minute (bucket_minute, tenant_id, reason, cnt, withheld) "
      "VALUES ";
  bool first = true;
  for (const auto& [key, count] : counters) {
    const auto& [minute, tenant, reason] = key;
    if (!first) sql += ", ";
    first = false;
    sql += "('" + FormatIso8601(minute) + "', " + db.QuoteLiteral(tenant) + ", '" +
           std::string(ReasonName(reason)) + "', " + std::to_string(count.messages) + ", " +
           std::to_string(count.withheld) + ")";
  }
  sql +=
      " ON CONFLICT (bucket_minute, tenant_id, reason) DO UPDATE "
      "SET cnt = quarantine_counters_minute.cnt + EXCLUDED.cnt, "
      "withheld = quarantine_counters_minute.withheld + EXCLUDED.withheld; ";
  return sql;
}

std::vector<const Message*> MovesOf(const Batch& batch) {
  std::map<DeviceKeyView, const Message*> last;
  for (const Message& message : batch.messages) {
    if (message.accepted() && message.location) last.insert_or_assign(message.key(), &message);
  }
  std::vector<const Message*> moves;
  for (const auto& [key, message] : last) {
    if (message->MovesDevice()) moves.push_back(message);
  }
  return moves;
}

// An UPDATE locks rows in the order its plan comes by them, so they are locked before it, sorted as
// DeviceKeyView is: two workers that move the same devices would deadlock. No plan but by key: for
// a thousand devices that move, the planner prefers to read a registry of a hundred thousand.
std::string LocationsSql(PgConnection& db, std::span<const Message* const> moves) {
  if (moves.empty()) return "";
  PgTextArray tenants;
  PgTextArray devices;
  PgTextArray latitudes;
  PgTextArray longitudes;
  for (const Message* message : moves) {
    tenants.Add(message->topic.tenant);
    devices.Add(message->topic.device);
    latitudes.Add(Number(message->location->latitude));
    longitudes.Add(Number(message->location->longitude));
  }
  return "SET LOCAL enable_seqscan = off; "
         "WITH moving AS (SELECT r.tenant_id, r.device_id, m.latitude, m.longitude FROM unnest(" +
         db.QuoteLiteral(tenants.Text()) + "::text[], " + db.QuoteLiteral(devices.Text()) +
         "::text[], " + db.QuoteLiteral(latitudes.Text()) + "::double precision[], " +
         db.QuoteLiteral(longitudes.Text()) +
         "::double precision[]) AS m(tenant_id, device_id, latitude, longitude)"
         " JOIN device_registry r ON r.tenant_id = m.tenant_id AND r.device_id = m.device_id"
         " WHERE (r.location_source IS NULL OR r.location_source = 'auto')"
         " AND (r.latitude, r.longitude) IS DISTINCT FROM (m.latitude, m.longitude)"
         " ORDER BY r.tenant_id COLLATE \"C\", r.device_id COLLATE \"C\" FOR NO KEY UPDATE OF r) "
         "UPDATE device_registry r SET latitude = m.latitude, longitude = m.longitude,"
         " updated_at = now() FROM moving m"
         " WHERE r.tenant_id = m.tenant_id AND r.device_id = m.device_id; ";
}

std::string NotifySql(PgConnection& db, const Batch& batch) {
  std::set<std::string_view> tenants;
  for (const Message& message : batch.messages) {
    if (message.accepted()) tenants.insert(message.topic.tenant);
  }
  std::string sql;
  std::string list;
  for (const std::string_view tenant : tenants) {
    if (list.size() + tenant.size() > kMaxNotifyBytes) {
      sql += NotifyOne(db, list);
      list.clear();
    }
    if (!list.empty()) list += ',';
    list += '"' + std::string(tenant) + '"';  // the topic's alphabet needs no escaping
  }
  if (!list.empty()) sql += NotifyOne(db, list);
  return sql;
}

std::string LedgerSql(const std::string& spool_id, const Batch& batch) {
  uint64_t rows = 0;
  uint64_t quarantined = 0;
  for (const Message& message : batch.messages) {
    message.accepted() ? rows += message.rows : ++quarantined;
  }
  const Chunk& chunk = *batch.chunk;
  return "INSERT INTO ingest_ledger (spool_id, first_seq, last_seq, messages, rows, quarantined, "
         "damaged) VALUES ('" +
         spool_id + "', " + std::to_string(chunk.first_seq) + ", " +
         std::to_string(chunk.last_seq) + ", " + std::to_string(batch.messages.size()) + ", " +
         std::to_string(rows) + ", " + std::to_string(quarantined) + ", " +
         std::to_string(chunk.damaged) + "); ";
}

std::string UuidBytes(const std::string& text) {
  std::string hex = text;
  std::erase(hex, '-');
  std::string bytes(hex.size() / 2, '\0');
  (void)FromHex(hex, reinterpret_cast<unsigned char*>(bytes.data()), bytes.size());
  return bytes;
}

}  // namespace sluice
