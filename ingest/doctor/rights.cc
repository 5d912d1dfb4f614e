#include "ingest/doctor/rights.h"

#include <array>

namespace sluice {
namespace {

constexpr Right kRights[] = {
    {"public", "USAGE", RightOn::kSchema},
    {"telemetry", "the rights of the owner", RightOn::kOwner},
    {"quarantine_events", "the rights of the owner", RightOn::kOwner},
    {"telemetry", "INSERT", RightOn::kTable},
    {"quarantine_events", "INSERT", RightOn::kTable},
    {"quarantine_counters_minute", "SELECT", RightOn::kTable},
    {"quarantine_counters_minute", "INSERT", RightOn::kTable},
    {"quarantine_counters_minute", "UPDATE", RightOn::kTable},
    {"ingest_ledger", "SELECT", RightOn::kTable},
    {"ingest_ledger", "INSERT", RightOn::kTable},
    {"ingest_ledger", "DELETE", RightOn::kTable},
    {"device_registry", "SELECT", RightOn::kTable},
    {"device_certificates", "SELECT", RightOn::kTable},
    {"subscriptions", "SELECT", RightOn::kTable},
    {"app_settings", "SELECT", RightOn::kTable},
    {"sluice_schema_migrations", "SELECT", RightOn::kTable},
    {"quarantine_open", "SELECT", RightOn::kTable},
    {"quarantine_recent", "SELECT", RightOn::kTable},
    {"quarantine_by_device", "SELECT", RightOn::kTable},
    {"quarantine_summary", "SELECT", RightOn::kTable},
    {"device_registry.latitude", "UPDATE", RightOn::kColumn},
    {"device_registry.longitude", "UPDATE", RightOn::kColumn},
    {"device_registry.location_source", "UPDATE", RightOn::kColumn},
    {"device_registry.updated_at", "UPDATE", RightOn::kColumn},
    {"device_registry", "INSERT", RightOn::kTable, true},
    {"subscriptions.active_device_count", "UPDATE", RightOn::kColumn, true},
    {"subscriptions.updated_at", "UPDATE", RightOn::kColumn, true},
    {"sluice_ensure_partition(date)", "EXECUTE", RightOn::kFunction},
    {"sluice_drop_partitions_before(date)", "EXECUTE", RightOn::kFunction},
    {"sluice_expire_quarantine(timestamptz, integer)", "EXECUTE", RightOn::kFunction},
};

// In the order of RightOn.
constexpr std::array kKinds = {"schema", "table", "column", "function", "owner"};

// What is not there gives null, which is no right either.
constexpr const char* kMissingSql = R"sql(
SELECT n FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
       AS wanted (kind, name, privilege, n)
 WHERE NOT coalesce(CASE kind
   WHEN 'schema' THEN has_schema_privilege(name, privilege)
   WHEN 'table' THEN has_table_privilege(to_regclass('public.' || name), privilege)
   WHEN 'column' THEN has_column_privilege(to_regclass('public.' || split_part(name, '.', 1)),
                                           split_part(name, '.', 2), privilege)
   WHEN 'function' THEN has_function_privilege(to_regprocedure('public.' || name), privilege)
   ELSE pg_has_role((SELECT relowner FROM pg_class
                      WHERE oid = to_regclass('public.' || name)), 'USAGE')
   END, false)
 ORDER BY n)sql";

}  // namespace

std::span<const Right> AllRights() {
  return kRights;
}

PgResult<std::vector<std::string>> MissingRights(PgConnection& db, bool auto_provision) {
  PgTextArray kinds;
  PgTextArray names;
  PgTextArray privileges;
  for (const Right& right : kRights) {
    kinds.Add(kKinds[static_cast<size_t>(right.on)]);
    names.Add(right.name);
    privileges.Add(right.privilege);
  }
  auto rows = db.ExecParams(kMissingSql, {kinds.Text(), names.Text(), privileges.Text()});
  if (!rows.ok()) return rows.error();
  std::vector<std::string> missing;
  for (int row = 0; row < rows->size(); ++row) {
    const Right& right = kRights[rows->Int(row, 0) - 1];
    if (right.to_provision && !auto_provision) continue;
    missing.push_back(std::string(right.privilege) + " on " + right.name);
  }
  return missing;
}

}  // namespace sluice
