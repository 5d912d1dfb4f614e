// What the daemon's role must be allowed: deploy/postgres/grants.sql as a list.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/postgres.h"

namespace sluice {

enum class RightOn { kSchema, kTable, kColumn, kFunction, kOwner };

struct Right {
  // In the schema public, where it is not that: "telemetry", "device_registry.latitude",
  // "sluice_ensure_partition(date)". Of kOwner, the table whose owner the role must be a member of.
  const char* name;
  const char* privilege;  // "SELECT"
  RightOn on;
  bool to_provision = false;  // wanted with AUTO_PROVISION=1 only
};

std::span<const Right> AllRights();

// Those that the connection's role does not have, in words. Wants the schema to be up to date.
PgResult<std::vector<std::string>> MissingRights(PgConnection& db, bool auto_provision);

}  // namespace sluice
