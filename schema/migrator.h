// The migrator: brings a database's tables to what this binary expects.
//
// Migrations are schema/migrations/NNN_name.sql, numbered without gaps and embedded in the binary.
// Each runs in one transaction with the row that records it in public.sluice_schema_migrations, so
// a database is always at exactly one version. A released migration is never edited; its checksum
// is compared.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/postgres.h"
#include "base/status.h"

namespace sluice {

struct Migration {
  int version;
  const char* name;
  const char* checksum;  // SHA-256 of the SQL, in hex
  const char* sql;
};

// In order of version, starting at 1. Lives as long as the program.
const std::vector<Migration>& AllMigrations();

struct MigrateOptions {
  // Report what would be applied and change nothing.
  bool dry_run = false;
  // How long to wait for another migrator, and for each lock that other sessions hold on a table.
  std::chrono::milliseconds lock_wait{15000};
  // The deadline of one migration. Building an index over an old, big table takes a while.
  std::chrono::milliseconds timeout{std::chrono::hours{1}};
};

struct MigrationReport {
  int version_before = 0;
  std::vector<Migration> applied;     // or what would be, with dry_run
  std::vector<std::string> warnings;  // the server's, e.g. a role that could not be created
};

// Applies what is missing. Several may run at once, through PgBouncer in transaction mode too: they
// take turns by an advisory lock of each transaction. Fails with kRejected when the database is
// newer than this binary, when an applied migration's checksum differs, or when a statement fails
// (that migration is rolled back, those before it stay); with kUnavailable when a lock is not had
// in time or the connection is lost; kTimeout past `timeout`.
Result<MigrationReport> Migrate(PgConnection& connection, const MigrateOptions& options);

// The version of the database; 0 when it was never migrated. Needs SELECT on the version table.
Result<int> SchemaVersion(PgConnection& connection);

// Ok when the database is at this binary's version. kRejected, with a sentence that says what to
// do, when it is not; else as SchemaVersion.
Status CheckSchemaVersion(PgConnection& connection);

}  // namespace sluice
