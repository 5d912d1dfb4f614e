#include "quarantine/review.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/escape.h"
#include "base/units.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

// Times for people and scripts, whatever the session's settings are.
std::string Utc(const std::string& column, const std::string& name) {
  return "to_char(" + column + R"( AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS )" +
         name;
}

const std::string& ListColumns() {
  static const std::string columns = "id, " + Utc("ingested_at", "ingested_at") +
                                     ", tenant_id AS tenant, device_id AS device, site_id AS site, "
                                     "msg_type, reason, replay_state AS state, payload_size AS "
                                     "size, detail, topic, " +
                                     Utc("received_at", "received_at");
  return columns;
}

const std::string& WholeObject() {
  static const std::string columns =
      ListColumns() + ", " + Utc("event_ts", "event_time") +
      ", first_reason, identity, identity_proof, " +
      "token_hash IS NOT NULL AS had_token, payload_truncated AS truncated, " +
      Utc("replayed_at", "replayed_at") + ", replayed_by";
  return columns;
}

std::string LimitSql(const QuarantineFilter& filter) {
  return filter.limit == 0 ? "" : " LIMIT " + std::to_string(filter.limit);
}

std::string ArrayOf(const std::string& select) {
  return "SELECT coalesce(json_agg(q), '[]') FROM (" + select + ") AS q";
}

// (tenant_id, device_id, reason, stored, first_seen, last_seen) of what the filter takes: the
// counts that are kept, or, for a time of its own, counted now.
std::string StoredSql(const QuarantineFilter& filter, const QuarantineCondition& condition) {
  if (!filter.since) {
    return "SELECT tenant_id, device_id, reason, messages AS stored, first_seen, last_seen "
           "FROM quarantine_open WHERE " +
           condition.sql();
  }
  return "SELECT coalesce(tenant_id, '') AS tenant_id, coalesce(device_id, '') AS device_id, "
         "reason, count(*) AS stored, min(coalesce(received_at, ingested_at)) AS first_seen, "
         "max(coalesce(received_at, ingested_at)) AS last_seen FROM quarantine_events WHERE " +
         condition.sql() + " GROUP BY 1, 2, 3";
}

// quarantine_open has no state: all in it is NEW.
QuarantineCondition SummaryCondition(QuarantineFilter filter) {
  if (!filter.since) filter.state.clear();
  return QuarantineCondition(filter);
}

// The minutes of quarantine_counters_minute that the filter takes, as a condition.
std::string CounterCondition(const QuarantineFilter& filter, QuarantineCondition* condition) {
  std::string sql = "bucket_minute >= ";
  sql += filter.since ? "date_trunc('minute', " +
                            condition->Parameter(FormatIso8601(*filter.since)) + "::timestamptz)"
                      : "now() - interval '24 hours'";
  if (!filter.tenant.empty()) sql += " AND tenant_id = " + condition->Parameter(filter.tenant);
  if (!filter.reason.empty()) sql += " AND reason = " + condition->Parameter(filter.reason);
  return sql;
}

std::string ArrayText(const std::vector<int64_t>& ids) {
  PgTextArray array;
  for (const int64_t id : ids) array.Add(std::to_string(id));
  return array.Text();
}

}  // namespace

std::optional<UnixMicros> ParseSince(std::string_view text, UnixMicros now) {
  // A bare number would be a year to the one and seconds to the other.
  const bool has_unit =
      !text.empty() && std::string_view("smhd").find(text.back()) != std::string_view::npos;
  if (!has_unit) return ParseIso8601(text);
  const auto ago = ParseDuration(text, std::chrono::seconds(1));
  if (!ago || *ago > std::chrono::days(36500)) return std::nullopt;
  return now - std::chrono::microseconds(*ago).count();
}

std::optional<int64_t> ParseWholeNumber(std::string_view text) {
  const char* const end = text.data() + text.size();
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  const bool whole = error == std::errc() && stop == end && text.front() != '-';
  return whole ? std::optional(number) : std::nullopt;
}

QuarantineCondition::QuarantineCondition(const QuarantineFilter& filter) {
  sql_ = filter.state.empty() ? "true" : "replay_state = '" + filter.state + "'";
  if (!filter.ids.empty()) {
    And("id = ANY (", ArrayText(filter.ids), "::bigint[])");
  }
  if (!filter.tenant.empty()) And("tenant_id = ", filter.tenant);
  if (!filter.device.empty()) And("device_id = ", filter.device);
  if (!filter.reason.empty()) And("reason = ", filter.reason);
  if (filter.since) And("ingested_at >= ", FormatIso8601(*filter.since), "::timestamptz");
}

void QuarantineCondition::After(const QuarantinePosition& position) {
  AndPosition(">", position);
}

void QuarantineCondition::Before(const QuarantinePosition& position) {
  AndPosition("<", position);
}

void QuarantineCondition::AndPosition(const char* comparison, const QuarantinePosition& position) {
  const std::string time = Parameter(position.ingested_at);
  sql_ += std::string(" AND (ingested_at, id) ") + comparison + " (" + time + "::timestamptz, " +
          Parameter(position.id) + "::bigint)";
}

std::string QuarantineCondition::Parameter(std::string value) {
  params_.emplace_back(std::move(value));
  return "$" + std::to_string(params_.size());
}

void QuarantineCondition::And(const std::string& left, std::string value,
                              const std::string& right) {
  sql_ += " AND " + left + Parameter(std::move(value)) + right;
}

PgResult<PgRows> ListQuarantined(PgConnection& db, const QuarantineFilter& filter,
                                 const std::optional<QuarantinePosition>& position) {
  QuarantineCondition condition(filter);
  if (position) condition.Before(*position);
  return db.ExecParams(
      ArrayOf("SELECT " + ListColumns() + " FROM quarantine_events WHERE " + condition.sql() +
              // The table's column, not the text of the same name.
              " ORDER BY quarantine_events.ingested_at DESC, id DESC" + LimitSql(filter)),
      condition.params());
}

PgResult<PgRows> SummarizeByReason(PgConnection& db, const QuarantineFilter& filter) {
  QuarantineCondition condition = SummaryCondition(filter);
  const std::string stored = StoredSql(filter, condition);
  const std::string counters = CounterCondition(filter, &condition);
  return db.ExecParams(
      ArrayOf("SELECT tenant_id AS tenant, reason, coalesce(devices, 0) AS devices, "
              "coalesce(stored, 0) AS stored, coalesce(counted, 0) AS counted, "
              "coalesce(withheld, 0) AS withheld, " +
              Utc("first_seen", "first_seen") + ", " + Utc("last_seen", "last_seen") +
              " FROM (SELECT tenant_id, reason, count(*) FILTER (WHERE device_id <> '') AS devices,"
              " sum(stored) AS stored, min(first_seen) AS first_seen, max(last_seen) AS last_seen"
              " FROM (" +
              stored +
              ") AS d GROUP BY 1, 2) AS s FULL JOIN (SELECT tenant_id, reason, sum(cnt) AS counted,"
              " sum(withheld) AS withheld FROM quarantine_counters_minute WHERE " +
              counters +
              " GROUP BY 1, 2) AS c USING (tenant_id, reason)"
              " ORDER BY coalesce(stored, 0) DESC, coalesce(counted, 0) DESC, 1, 2" +
              LimitSql(filter)),
      condition.params());
}

PgResult<PgRows> SummarizeByDevice(PgConnection& db, const QuarantineFilter& filter) {
  const QuarantineCondition condition = SummaryCondition(filter);
  return db.ExecParams(
      ArrayOf("SELECT tenant_id AS tenant, device_id AS device, reason, stored, " +
              Utc("first_seen", "first_seen") + ", " + Utc("last_seen", "last_seen") + " FROM (" +
              StoredSql(filter, condition) + ") AS d ORDER BY stored DESC, 1, 2, 3" +
              LimitSql(filter)),
      condition.params());
}

// All but the order is looked up for those devices only that are shown: so it is several times as
// fast.
PgResult<PgRows> WorstDevices(PgConnection& db, const QuarantineFilter& filter) {
  const QuarantineCondition condition = SummaryCondition(filter);
  return db.ExecParams(
      "WITH d AS NOT MATERIALIZED (" + StoredSql(filter, condition) +
          "), w AS (SELECT tenant_id AS tenant, device_id AS device, sum(stored) AS stored "
          "FROM d WHERE device_id <> '' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2" +
          LimitSql(filter) + ") " +
          ArrayOf(
              "SELECT tenant, device, w.stored, reasons, " + Utc("first_seen", "first_seen") +
              ", " + Utc("last_seen", "last_seen") +
              " FROM w, LATERAL (SELECT json_object_agg(reason, d.stored ORDER BY d.stored DESC, "
              "reason) AS reasons, min(first_seen) AS first_seen, max(last_seen) AS last_seen "
              "FROM d WHERE tenant_id = tenant AND device_id = device) AS r "
              "ORDER BY w.stored DESC, tenant, device"),
      condition.params());
}

PgResult<PgRows> FetchQuarantined(PgConnection& db, const QuarantineFilter& filter,
                                  const std::optional<QuarantinePosition>& position, int64_t page) {
  QuarantineCondition condition(filter);
  if (position) condition.After(*position);
  return db.ExecParams(
      "SELECT row_to_json((SELECT o FROM (SELECT " + WholeObject() + ") AS o)), encode(coalesce(" +
          "payload_bytes, convert_to(payload::text, 'UTF8')), 'hex'), " + Utc("ingested_at", "at") +
          ", id FROM quarantine_events WHERE " + condition.sql() +
          " ORDER BY ingested_at, id LIMIT " + std::to_string(page),
      condition.params());
}

PgResult<int64_t> CountQuarantined(PgConnection& db, const QuarantineFilter& filter) {
  const bool kept_counts = filter.ids.empty() && !filter.since && filter.state == "NEW";
  const QuarantineCondition condition =
      kept_counts ? SummaryCondition(filter) : QuarantineCondition(filter);
  auto rows = db.ExecParams((kept_counts ? "SELECT sum(messages) FROM quarantine_open WHERE "
                                         : "SELECT count(*) FROM quarantine_events WHERE ") +
                                condition.sql(),
                            condition.params());
  if (!rows.ok()) return rows.error();
  return rows->Int(0, 0);
}

PgResult<std::optional<int64_t>> CountWithheld(PgConnection& db, const QuarantineFilter& filter) {
  if (!filter.ids.empty() || !filter.device.empty()) return std::optional<int64_t>();
  QuarantineCondition condition({.state = ""});
  const std::string counters = CounterCondition(filter, &condition);
  auto rows = db.ExecParams(
      "SELECT sum(withheld) FROM quarantine_counters_minute WHERE " + counters, condition.params());
  if (!rows.ok()) return rows.error();
  return std::optional(rows->Int(0, 0));
}

PgResult<std::vector<int64_t>> FindMissing(PgConnection& db, const std::vector<int64_t>& ids) {
  auto rows = db.ExecParams(
      "SELECT DISTINCT wanted FROM unnest($1::bigint[]) AS wanted WHERE NOT EXISTS (SELECT FROM "
      "quarantine_events WHERE id = wanted) ORDER BY wanted",
      {ArrayText(ids)});
  if (!rows.ok()) return rows.error();
  std::vector<int64_t> missing;
  for (int row = 0; row < rows->size(); ++row) missing.push_back(rows->Int(row, 0));
  return missing;
}

PgResult<int64_t> DiscardQuarantined(PgConnection& db, const QuarantineFilter& filter,
                                     const std::optional<QuarantinePosition>& position,
                                     const std::string& by, int64_t page) {
  QuarantineCondition condition(filter);
  if (position) condition.After(*position);
  const std::string who = condition.Parameter(by);
  auto rows = db.ExecParams(
      "UPDATE quarantine_events SET replay_state = 'DISCARDED', replayed_at = now(), replayed_by "
      "= " +
          who + " WHERE id = ANY (ARRAY(SELECT id FROM quarantine_events WHERE " + condition.sql() +
          " ORDER BY ingested_at LIMIT " + std::to_string(page) + " FOR UPDATE SKIP LOCKED))",
      condition.params());
  if (!rows.ok()) return rows.error();
  return rows->affected();
}

std::string BytesFromHex(std::string_view hex) {
  std::string bytes(hex.size() / 2, '\0');
  (void)FromHex(hex, reinterpret_cast<unsigned char*>(bytes.data()), bytes.size());
  return bytes;
}

}  // namespace sluice
