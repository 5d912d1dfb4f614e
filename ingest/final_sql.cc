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

// The last place of each device that has moved. Ordered by device, so that transactions side by
// side lock rows in the same order.
std::map<DeviceKeyView, const Message*> MovesOf(const Batch& batch) {
  std::map<DeviceKeyView, const Message*> last;
  for (const Message& message : batch.messages) {
    if (message.accepted() && message.location) last.insert_or_assign(message.key(), &message);
  }
  std::erase_if(last, [](const auto& entry) { return !entry.second->MovesDevice(); });
  return last;
}

}  // namespace

std::string CountersSql(PgConnection& db, const QuarantineBatch::Counters& counters) {
  if (counters.empty()) return "";
  std::string sql =
      "INSERT INTO quarantine_counters_minute (bucket_minute, tenant_id, reason, cnt) VALUES ";
  bool first = true;
  for (const auto& [key, count] : counters) {
    const auto& [minute, tenant, reason] = key;
    if (!first) sql += ", ";
    first = false;
    sql += "('" + FormatIso8601(minute) + "', " + db.QuoteLiteral(tenant) + ", '" +
           std::string(ReasonName(reason)) + "', " + std::to_string(count) + ")";
  }
  sql +=
      " ON CONFLICT (bucket_minute, tenant_id, reason) DO UPDATE "
      "SET cnt = quarantine_counters_minute.cnt + EXCLUDED.cnt; ";
  return sql;
}

size_t CountMoves(const Batch& batch) {
  return MovesOf(batch).size();
}

std::string LocationsSql(PgConnection& db, const Batch& batch) {
  std::string sql;
  for (const auto& [key, message] : MovesOf(batch)) {
    const std::string lat = Number(message->location->latitude);
    const std::string lng = Number(message->location->longitude);
    sql += "UPDATE device_registry SET latitude = " + lat + ", longitude = " + lng +
           ", updated_at = now() WHERE tenant_id = " + db.QuoteLiteral(key.tenant) +
           " AND device_id = " + db.QuoteLiteral(key.device) +
           " AND (location_source IS NULL OR location_source = 'auto')"
           " AND (latitude, longitude) IS DISTINCT FROM (" +
           lat + "::double precision, " + lng + "::double precision); ";
  }
  return sql;
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
