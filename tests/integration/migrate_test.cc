// The migrations on empty databases, on one of the old service, and the rights they leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <regex>
#include <sstream>

#include "base/postgres.h"
#include "schema/migrator.h"
#include "tests/support/postgres_server.h"
#include "tests/support/temp_dir.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::PostgresServer;
using testing::SharedPostgres;
using ::testing::SizeIs;

std::string RepositoryFile(const std::string& path) {
  std::string text = testing::ReadFile(std::string(SLUICE_SOURCE_DIR) + "/" + path);
  EXPECT_FALSE(text.empty()) << path;
  return text;
}

// deploy/postgres/grants.sql as psql -v role=… would run it.
std::string GrantsFor(const std::string& role) {
  return std::regex_replace(RepositoryFile("deploy/postgres/grants.sql"), std::regex(":\"role\""),
                            "\"" + role + "\"");
}

class MigrateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = SharedPostgres().CreateDatabase();
    admin_ = SharedPostgres().Connect(database_);
  }

  PgRows Query(PgConnection& connection, const std::string& sql) {
    PgResult<PgRows> rows = connection.Exec(sql);
    EXPECT_TRUE(rows.ok()) << sql << ": " << rows.error().Describe();
    return rows.ok() ? std::move(*rows) : PgRows();
  }
  PgRows Query(const std::string& sql) { return Query(*admin_, sql); }
  std::string Value(const std::string& sql) {
    const PgRows rows = Query(sql);
    return rows.size() == 0 ? "(no row)" : std::string(rows.Text(0, 0));
  }
  std::string SqlstateOf(PgConnection& connection, const std::string& sql) {
    PgResult<PgRows> rows = connection.Exec(sql);
    return rows.ok() ? "00000" : rows.error().sqlstate;
  }

  MigrationReport MustMigrate(PgConnection& connection) {
    Result<MigrationReport> report = Migrate(connection, {});
    EXPECT_TRUE(report.ok()) << report.message();
    return report.ok() ? *report : MigrationReport{};
  }
  MigrationReport MustMigrate() { return MustMigrate(*admin_); }
  void LoadLegacy() { Query(RepositoryFile("tests/support/legacy_schema.sql")); }

  // The daemon's login role of this cluster, with exactly the grants that are shipped.
  std::unique_ptr<PgConnection> ConnectAsDaemon(const std::string& role = "gate") {
    Query("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '" + role +
          "') THEN CREATE ROLE " + role + " LOGIN; END IF; END $$");
    Query(GrantsFor(role));
    return SharedPostgres().Connect(database_, role);
  }
  // One connection of a tenant's reader, as the old service's API makes them.
  std::unique_ptr<PgConnection> ConnectAsTenant(const std::string& tenant) {
    Query("ALTER ROLE pulse_app LOGIN; ALTER ROLE pulse_operator LOGIN");
    auto connection = SharedPostgres().Connect(database_, "pulse_app");
    Query(*connection, "SET app.tenant_id = '" + tenant + "'");
    return connection;
  }

  // Everything a person would call data or shape, one line each; equal before and after means
  // nothing was lost or rewritten.
  std::string Fingerprint(const std::string& table, const std::string& columns) {
    return Value("SELECT pg_relation_filenode('" + table + "') || ' ' || count(*) || ' ' || " +
                 "md5(string_agg(md5(ROW(" + columns + ")::text), '' ORDER BY ROW(" + columns +
                 ")::text)) FROM " + table);
  }

  std::string database_;
  std::unique_ptr<PgConnection> admin_;
};

PgResult<int64_t> Copy(PgConnection& connection, const std::string& into, std::string_view lines) {
  PgStatus begun = connection.CopyBegin("COPY " + into + " FROM STDIN");
  if (!begun.ok()) return begun.error();
  PgStatus put = connection.CopyPut(lines);
  if (!put.ok()) return put.error();
  return connection.CopyEnd();
}

constexpr const char* kTelemetryColumns =
    "telemetry (time, tenant_id, device_id, site_id, msg_type, seq, metrics, received_at)";
constexpr const char* kTwoTenantsRows =
    "2026-03-01 10:00:00+00\torchard\tprobe-1\tnorth\ttelemetry\t1\t{\"heat\": 21}\t2026-03-01 "
    "10:00:01+00\n"
    "2026-03-01 10:00:00+00\tharbour\tcrane-1\tquay\ttelemetry\t1\t{\"load\": 3}\t2026-03-01 "
    "10:00:01+00\n";

TEST_F(MigrateTest, MakesAnEmptyDatabaseComplete) {
  EXPECT_EQ(*SchemaVersion(*admin_), 0);
  const MigrationReport report = MustMigrate();
  EXPECT_EQ(report.version_before, 0);
  EXPECT_THAT(report.applied, SizeIs(AllMigrations().size()));
  EXPECT_THAT(report.warnings, IsEmpty());
  EXPECT_EQ(*SchemaVersion(*admin_), AllMigrations().back().version);
  EXPECT_EQ(
      Value("SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"),
      "app_settings device_certificates device_registry ingest_ledger quarantine_counters_"
      "minute quarantine_events quarantine_open sluice_schema_migrations subscriptions telemetry "
      "telemetry_default");
  EXPECT_EQ(Value("SELECT count(*) FROM app_settings"), "0");
}

TEST_F(MigrateTest, PartitionsANewTelemetryTableByTimeWithTwoIndexes) {
  MustMigrate();
  EXPECT_EQ(Value("SELECT pg_get_partkeydef('telemetry'::regclass)"), "RANGE (\"time\")");
  EXPECT_EQ(Value("SELECT string_agg(substring(indexdef FROM 'USING .*'), '; ' ORDER BY indexdef)"
                  " FROM pg_indexes WHERE tablename = 'telemetry'"),
            "USING btree (tenant_id, device_id, \"time\" DESC); "
            "USING brin (\"time\") WITH (autosummarize='on')");
}

TEST_F(MigrateTest, ChangesNothingTheSecondTime) {
  MustMigrate();
  const std::string applied = "SELECT string_agg(m::text, ' ') FROM sluice_schema_migrations m";
  const std::string before = Value(applied);
  const MigrationReport again = MustMigrate();
  EXPECT_THAT(again.applied, IsEmpty());
  EXPECT_EQ(again.version_before, AllMigrations().back().version);
  EXPECT_EQ(Value(applied), before);
}

TEST_F(MigrateTest, DryRunListsWhatItWouldApplyAndChangesNothing) {
  Result<MigrationReport> report = Migrate(*admin_, {.dry_run = true});
  ASSERT_TRUE(report.ok()) << report.message();
  EXPECT_THAT(report->applied, SizeIs(AllMigrations().size()));
  EXPECT_EQ(Value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
            "0");
}

TEST_F(MigrateTest, TwoMigratorsAtOnceApplyEachMigrationOnce) {
  auto other = SharedPostgres().Connect(database_);
  std::future<Result<MigrationReport>> theirs =
      std::async(std::launch::async, [&other] { return Migrate(*other, {}); });
  Result<MigrationReport> ours = Migrate(*admin_, {});
  Result<MigrationReport> result = theirs.get();
  ASSERT_TRUE(ours.ok()) << ours.message();
  ASSERT_TRUE(result.ok()) << result.message();
  EXPECT_EQ(ours->applied.size() + result->applied.size(), AllMigrations().size());
}

TEST_F(MigrateTest, GivesUpClearlyWhileAnotherMigratorHoldsTheLock) {
  auto other = SharedPostgres().Connect(database_);
  Query(*other, "BEGIN; SELECT pg_advisory_xact_lock(126909663503205)");
  Result<MigrationReport> report = Migrate(*admin_, {.lock_wait = milliseconds(50)});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(report.message(), HasSubstr("another migration"));
  Query(*other, "ROLLBACK");
  MustMigrate();
}

TEST_F(MigrateTest, RefusesADatabaseThatIsNewerThanTheBinary) {
  MustMigrate();
  Query("INSERT INTO sluice_schema_migrations VALUES (9000, 'from_the_future', now(), '')");
  Result<MigrationReport> report = Migrate(*admin_, {});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.code(), ErrorCode::kRejected);
  EXPECT_THAT(report.message(), HasSubstr("version 9000"));
  EXPECT_EQ(*SchemaVersion(*admin_), 9000);
}

TEST_F(MigrateTest, RefusesADatabaseWhoseMigrationsAreOthers) {
  MustMigrate();
  Query("UPDATE sluice_schema_migrations SET checksum = 'x' WHERE version = 2");
  Result<MigrationReport> report = Migrate(*admin_, {});
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.message(), HasSubstr("migration 2 (telemetry)"));
}

TEST_F(MigrateTest, AFailedMigrationLeavesTheOnesBeforeItAndNothingOfItself) {
  Query("CREATE TABLE ingest_ledger (mine int)");
  Result<MigrationReport> report = Migrate(*admin_, {});
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.message(), HasSubstr("migration 4 (ledger): 42P07"));
  EXPECT_EQ(*SchemaVersion(*admin_), 3);
  Query("DROP TABLE ingest_ledger");
  EXPECT_EQ(MustMigrate().version_before, 3);
}

TEST_F(MigrateTest, KeepsEveryRowAndFileOfTheOldServicesDatabase) {
  LoadLegacy();
  const std::vector<std::pair<std::string, std::string>> tables = {
      {"telemetry", "time, tenant_id, device_id, site_id, msg_type, seq, metrics"},
      {"quarantine_events",
       "id, ingested_at, event_ts, topic, tenant_id, site_id, device_id, msg_type, reason, payload,"
       "envelope_version"},
      {"quarantine_counters_minute", "bucket_minute, tenant_id, reason, cnt"},
      {"device_registry",
       "tenant_id, device_id, site_id, status, provision_token, provision_token_hash, created_at,"
       "updated_at, metadata, subscription_id, latitude, longitude, location_source"},
      {"device_certificates",
       "id, tenant_id, device_id, fingerprint_sha256, serial_number, status"},
      {"subscriptions", "subscription_id, tenant_id, status, device_limit, active_device_count"},
      {"app_settings", "key, value, updated_at"},
      {"device_state", "tenant_id, device_id, status, state"}};
  std::vector<std::string> before;
  before.reserve(tables.size());
  for (const auto& [table, columns] : tables) before.push_back(Fingerprint(table, columns));
  const std::string indexes =
      "SELECT string_agg(indexname || pg_relation_filenode(indexname::regclass), ' ' ORDER BY"
      " indexname) FROM pg_indexes WHERE tablename = 'telemetry' AND indexname NOT LIKE '%brin%'";
  const std::string indexes_before = Value(indexes);

  EXPECT_THAT(MustMigrate().warnings, IsEmpty());

  for (size_t i = 0; i < tables.size(); ++i) {
    EXPECT_EQ(Fingerprint(tables[i].first, tables[i].second), before[i]) << tables[i].first;
  }
  EXPECT_EQ(Value(indexes), indexes_before);
}

TEST_F(MigrateTest, LeavesAnOldTelemetryTablePlainAndAddsOnlyWhatIsMissing) {
  LoadLegacy();
  MustMigrate();
  EXPECT_EQ(Value("SELECT relkind FROM pg_class WHERE oid = 'telemetry'::regclass"), "r");
  EXPECT_EQ(Value("SELECT count(*) FROM telemetry WHERE received_at IS NULL"), "6000");
  EXPECT_EQ(Value("SELECT count(*) FROM pg_indexes WHERE tablename = 'telemetry'"), "5");
  EXPECT_EQ(Value("SELECT count(*) FROM pg_indexes WHERE tablename = 'telemetry'"
                  " AND indexdef LIKE '%USING brin%'"),
            "1");
  EXPECT_EQ(Value("SELECT count(*) FROM pg_indexes WHERE tablename = 'device_certificates'"), "3");
  EXPECT_EQ(Value("SELECT count(*) FROM quarantine_events WHERE replay_state = 'NEW'"), "50");
  EXPECT_EQ(Value("SELECT string_agg(tenant_id || ' ' || stored, ' ' ORDER BY tenant_id)"
                  " FROM quarantine_summary"),
            "harbour 25 orchard 25");
  EXPECT_EQ(SqlstateOf(*admin_, "UPDATE quarantine_events SET replay_state = 'LOST'"), "23514");
  EXPECT_EQ(Value("SELECT sluice_ensure_partition(current_date)"), "f");
  EXPECT_EQ(Value("SELECT sluice_drop_partitions_before(current_date)"), "0");
}

TEST_F(MigrateTest, TheOldOwnerMayMigrateWithoutBeingSuperuserAndKeepsItsRights) {
  LoadLegacy();
  Query("DROP ROLE IF EXISTS onlooker; CREATE ROLE onlooker LOGIN");
  auto owner = SharedPostgres().Connect(database_, "iot");
  EXPECT_THAT(MustMigrate(*owner).warnings, IsEmpty());
  owner = SharedPostgres().Connect(database_, "iot");
  EXPECT_EQ(Query(*owner, "SELECT count(*) FROM telemetry").Int(0, 0), 6000);
  PgResult<int64_t> copied = Copy(*owner, kTelemetryColumns, kTwoTenantsRows);
  EXPECT_TRUE(copied.ok()) << copied.error().Describe();
  auto onlooker = SharedPostgres().Connect(database_, "onlooker");
  EXPECT_EQ(SqlstateOf(*onlooker, "SELECT count(*) FROM telemetry"), "42501");
}

TEST_F(MigrateTest, KeepsTheOldPoliciesAndTenantsStillSeeOnlyTheirOwn) {
  LoadLegacy();
  MustMigrate();
  EXPECT_EQ(Value("SELECT string_agg(policyname, ' ' ORDER BY policyname) FROM pg_policies"
                  " WHERE tablename = 'telemetry'"),
            "sluice_owner_all telemetry_operator_read telemetry_tenant_isolation");
  auto daemon = ConnectAsDaemon();
  PgResult<int64_t> copied = Copy(*daemon, kTelemetryColumns, kTwoTenantsRows);
  ASSERT_TRUE(copied.ok()) << copied.error().Describe();
  auto tenant = ConnectAsTenant("harbour");
  EXPECT_EQ(Query(*tenant, "SELECT count(*) FROM telemetry").Int(0, 0), 2001);
  EXPECT_EQ(Query(*tenant, "SELECT count(*) FROM quarantine_events").Int(0, 0), 25);
  EXPECT_EQ(Query(*tenant, "SELECT count(*) FROM quarantine_recent").Int(0, 0), 25);
  EXPECT_EQ(Query(*tenant, "SELECT stored FROM quarantine_summary").Text(0, 0), "25");
}

TEST_F(MigrateTest, TheRecipeInTheDocumentationPartitionsAnOldTableInPlace) {
  LoadLegacy();
  MustMigrate();
  const std::string filenode = "SELECT pg_relation_filenode('";
  const std::string before = Value(filenode + "telemetry')");
  const std::string page = RepositoryFile("docs/schema.md");
  const size_t recipe = page.find("```sql\n") + 7;
  Query(page.substr(recipe, page.find("```", recipe) - recipe));

  EXPECT_EQ(Value(filenode + "telemetry_before')"), before);
  EXPECT_EQ(Value("SELECT count(*) FROM telemetry"), "6000");
  EXPECT_EQ(Value("SELECT sluice_ensure_partition('2026-03-31')"), "f");
  EXPECT_EQ(Value("SELECT sluice_ensure_partition('2026-04-01')"), "t");
  auto daemon = ConnectAsDaemon();
  PgResult<int64_t> copied = Copy(*daemon, kTelemetryColumns, kTwoTenantsRows);
  ASSERT_TRUE(copied.ok()) << copied.error().Describe();
  auto tenant = ConnectAsTenant("harbour");
  EXPECT_EQ(Query(*tenant, "SELECT count(*) FROM telemetry").Int(0, 0), 2001);
}

TEST_F(MigrateTest, LeavesRowLevelSecurityOffWhereTheOldDatabaseHadItOff) {
  LoadLegacy();
  Query("ALTER TABLE device_registry DISABLE ROW LEVEL SECURITY");
  MustMigrate();
  EXPECT_EQ(Value("SELECT relrowsecurity FROM pg_class WHERE relname = 'device_registry'"), "f");
}

TEST_F(MigrateTest, WarnsWhereRolesMayNotBeCreatedAndASuperuserCanCatchUp) {
  PostgresServer server;  // roles belong to the cluster
  const std::string database = server.CreateDatabase();
  Query(*server.Connect(database),
        "CREATE ROLE plain LOGIN; ALTER DATABASE " + database + " OWNER TO plain");
  auto plain = server.Connect(database, "plain");
  const MigrationReport report = MustMigrate(*plain);
  EXPECT_THAT(report.warnings, SizeIs(3));
  EXPECT_THAT(report.applied, SizeIs(AllMigrations().size()));
  EXPECT_EQ(Query(*plain, "SELECT sluice_ensure_partition('2026-03-01')").Text(0, 0), "t");

  // What docs/schema.md tells a superuser to do afterwards.
  auto superuser = server.Connect(database);
  Query(*superuser,
        "CREATE ROLE sluice_owner; CREATE ROLE pulse_app; CREATE ROLE pulse_operator;"
        "GRANT sluice_owner TO plain; CREATE ROLE gate LOGIN");
  Query(*superuser, RepositoryFile("schema/migrations/007_access.sql"));
  Query(*superuser, RepositoryFile("schema/migrations/010_quarantine_access.sql"));
  Query(*superuser, GrantsFor("gate"));
  PgResult<int64_t> copied =
      Copy(*server.Connect(database, "gate"), kTelemetryColumns, kTwoTenantsRows);
  EXPECT_TRUE(copied.ok()) << copied.error().Describe();
}

// tests/golden/migrations-VERSION has those of a release, as sha256sum writes them.
struct Release {
  std::string version;
  std::vector<std::string> migrations;  // "CHECKSUM  NNN_name.sql"
};

std::vector<Release> Releases() {
  const std::string prefix = "migrations-";
  std::vector<Release> releases;
  for (const auto& file : std::filesystem::directory_iterator(SLUICE_SOURCE_DIR "/tests/golden")) {
    const std::string name = file.path().filename();
    if (!name.starts_with(prefix)) continue;
    releases.push_back({name.substr(prefix.size()), {}});
    std::istringstream lines(testing::ReadFile(file.path()));
    for (std::string line; std::getline(lines, line);) releases.back().migrations.push_back(line);
  }
  EXPECT_THAT(releases, ::testing::Not(IsEmpty()));
  return releases;
}

TEST(ReleasedMigrations, AreNeverEdited) {
  for (const Release& release : Releases()) {
    ASSERT_LE(release.migrations.size(), AllMigrations().size());
    for (size_t i = 0; i < release.migrations.size(); ++i) {
      const Migration& now = AllMigrations()[i];
      const std::string number = std::to_string(now.version);
      EXPECT_EQ(std::string(now.checksum) + "  " + std::string(3 - number.size(), '0') + number +
                    "_" + now.name + ".sql",
                release.migrations[i])
          << "as released with " << release.version;
    }
  }
}

TEST_F(MigrateTest, BringsADatabaseOfEachReleaseUpToDateWithItsRows) {
  for (const Release& release : Releases()) {
    database_ = SharedPostgres().CreateDatabase();
    admin_ = SharedPostgres().Connect(database_);
    Query(
        "CREATE TABLE sluice_schema_migrations (version integer PRIMARY KEY, name text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now(), checksum text NOT NULL)");
    for (size_t i = 0; i < release.migrations.size(); ++i) {
      const Migration& migration = AllMigrations()[i];
      Query(std::string("BEGIN; SET LOCAL search_path = public; ") + migration.sql +
            "; INSERT INTO sluice_schema_migrations (version, name, checksum) VALUES (" +
            std::to_string(migration.version) + ", '" + migration.name + "', '" +
            migration.checksum + "'); COMMIT");
    }
    Query(
        "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit)"
        " VALUES ('S', 'orchard', 5);"
        "INSERT INTO device_registry (tenant_id, device_id, site_id, subscription_id)"
        " VALUES ('orchard', 'probe-1', 'north', 'S');"
        "SELECT sluice_ensure_partition('2026-03-01');"
        "INSERT INTO quarantine_events (tenant_id, reason, payload) VALUES ('orchard', 'X', '{}');"
        "INSERT INTO ingest_ledger (spool_id, first_seq, last_seq, messages, rows, quarantined,"
        " damaged) VALUES (gen_random_uuid(), 1, 3, 3, 2, 1, 0)");
    ASSERT_TRUE(Copy(*admin_, kTelemetryColumns, kTwoTenantsRows).ok());
    EXPECT_EQ(static_cast<size_t>(MustMigrate().version_before), release.migrations.size());
    EXPECT_EQ(*SchemaVersion(*admin_), AllMigrations().back().version);
    for (const auto& [table, rows] :
         {std::pair("subscriptions", "1"), std::pair("device_registry", "1"),
          std::pair("telemetry", "2"), std::pair("quarantine_events", "1"),
          std::pair("ingest_ledger", "1")}) {
      EXPECT_EQ(Value(std::string("SELECT count(*) FROM ") + table), rows)
          << table << " of " << release.version;
    }
  }
}

TEST_F(MigrateTest, MakesAHypertableWhereTimescaleIsInstalled) {
  // A stand-in: what the migration looks for, and what it calls.
  Query(
      "SET allow_system_table_mods = on;"
      "INSERT INTO pg_extension VALUES (99999, 'timescaledb', 10, 'public'::regnamespace, false,"
      " '2.11.0', NULL, NULL); RESET allow_system_table_mods;"
      "CREATE SCHEMA timescaledb_information;"
      "CREATE TABLE timescaledb_information.hypertables"
      " (hypertable_schema name, hypertable_name name, chunk interval);"
      "CREATE FUNCTION create_hypertable(relation regclass, time_column_name name,"
      " chunk_time_interval interval, create_default_indexes boolean) RETURNS void LANGUAGE sql"
      " AS $$ INSERT INTO timescaledb_information.hypertables"
      " VALUES ('public', relation::text, chunk_time_interval) $$;"
      "CREATE FUNCTION drop_chunks(relation regclass, older_than timestamptz) RETURNS SETOF text"
      " LANGUAGE sql AS $$ SELECT 'chunk' FROM generate_series(1, 3)"
      " WHERE older_than = timestamptz '2026-01-05 00:00:00+00' $$");
  EXPECT_THAT(MustMigrate().warnings, IsEmpty());
  EXPECT_EQ(Value("SELECT relkind FROM pg_class WHERE oid = 'telemetry'::regclass"), "r");
  EXPECT_EQ(Value("SELECT chunk FROM timescaledb_information.hypertables"), "1 day");
  EXPECT_EQ(Value("SELECT sluice_ensure_partition('2026-03-01')"), "f");
  EXPECT_EQ(Value("SELECT sluice_drop_partitions_before('2026-01-05')"), "3");
}

class PartitionTest : public MigrateTest {
 protected:
  void SetUp() override {
    MigrateTest::SetUp();
    MustMigrate();
  }
  void InsertAt(const std::string& time) {
    Query("INSERT INTO telemetry (time, tenant_id, device_id, site_id) VALUES ('" + time +
          "', 'orchard', 'probe-1', 'north')");
  }
  std::string Partitions() {
    return Value(
        "SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text)"
        " FROM pg_inherits WHERE inhparent = 'telemetry'::regclass");
  }
  std::string Ensure(const std::string& day) {
    return Value("SELECT sluice_ensure_partition('" + day + "')");
  }
};

TEST_F(PartitionTest, MakesADaysPartitionOnceByUtc) {
  Query("SET timezone = 'Pacific/Auckland'");
  EXPECT_EQ(Ensure("2026-03-01"), "t");
  EXPECT_EQ(Ensure("2026-03-01"), "t");
  EXPECT_EQ(Partitions(), "telemetry_default telemetry_p20260301");
  InsertAt("2026-03-01 00:00:00+00");
  InsertAt("2026-03-01 23:59:59.999999+00");
  InsertAt("2026-03-02 00:00:00+00");
  EXPECT_EQ(Value("SELECT count(*) FROM telemetry_p20260301"), "2");
  EXPECT_EQ(Value("SELECT count(*) FROM telemetry_default"), "1");
  EXPECT_EQ(Value("SELECT count(*) FROM pg_indexes WHERE tablename = 'telemetry_p20260301'"), "2");
}

TEST_F(PartitionTest, LeavesADayAloneWhoseRowsSitInTheDefaultPartition) {
  InsertAt("2026-03-01 10:00:00+00");
  EXPECT_EQ(Ensure("2026-03-01"), "f");
  EXPECT_EQ(Partitions(), "telemetry_default");
  EXPECT_EQ(Ensure("2026-03-02"), "t");
}

TEST_F(PartitionTest, RefusesDaysThatNoTableNameHolds) {
  EXPECT_EQ(Ensure("infinity"), "f");
  EXPECT_EQ(Ensure("0044-03-15 BC"), "f");
  EXPECT_EQ(Value("SELECT sluice_ensure_partition(NULL)"), "f");
}

TEST_F(PartitionTest, LeavesAnOverlappingPartitionOfTheOperatorAlone) {
  Query(
      "CREATE TABLE march PARTITION OF telemetry FOR VALUES FROM ('2026-03-01 00:00:00+00')"
      " TO ('2026-04-01 00:00:00+00')");
  EXPECT_EQ(Ensure("2026-03-01"), "f");
  EXPECT_EQ(Ensure("2026-04-01"), "t");
}

TEST_F(PartitionTest, DoesNotWaitLongForReadersOfTheDefaultPartition) {
  auto reader = SharedPostgres().Connect(database_);
  Query(*reader, "BEGIN; SELECT count(*) FROM telemetry");
  EXPECT_EQ(Ensure("2026-03-01"), "f");
  Query(*reader, "COMMIT");
  EXPECT_EQ(Ensure("2026-03-01"), "t");
}

TEST_F(PartitionTest, ACopyInProgressDoesNotKeepAPartitionFromBeingMade) {
  Ensure("2026-03-01");
  auto writer = SharedPostgres().Connect(database_);
  ASSERT_TRUE(writer->CopyBegin(std::string("COPY ") + kTelemetryColumns + " FROM STDIN").ok());
  ASSERT_TRUE(writer->CopyPut(kTwoTenantsRows).ok());
  EXPECT_EQ(Ensure("2026-03-02"), "t");
  EXPECT_TRUE(writer->CopyEnd().ok());
}

TEST_F(PartitionTest, SeveralSessionsMayAskForTheSameDayAtOnce) {
  std::vector<std::future<std::string>> complaints;
  complaints.reserve(4);
  for (int i = 0; i < 4; ++i) {
    complaints.push_back(std::async(std::launch::async, [this] {
      auto connection = SharedPostgres().Connect(database_);
      const auto made = connection->Exec("SELECT sluice_ensure_partition('2026-03-01')");
      return made.ok() ? "" : made.error().Describe();
    }));
  }
  for (std::future<std::string>& complaint : complaints) EXPECT_EQ(complaint.get(), "");
  // One that had to wait for long was told to ask again.
  EXPECT_EQ(Ensure("2026-03-01"), "t");
}

TEST_F(PartitionTest, DropsWhatIsWhollyBeforeTheDayAndNothingElse) {
  Query("SET timezone = 'Pacific/Auckland'");
  for (const char* day : {"2026-02-27", "2026-02-28", "2026-03-01"}) Ensure(day);
  InsertAt("2020-01-01 00:00:00+00");
  EXPECT_EQ(Value("SELECT sluice_drop_partitions_before('2026-03-01')"), "2");
  EXPECT_EQ(Partitions(), "telemetry_default telemetry_p20260301");
  EXPECT_EQ(Value("SELECT count(*) FROM telemetry"), "1");
  EXPECT_EQ(Value("SELECT sluice_drop_partitions_before(NULL)"), "0");
}

TEST_F(PartitionTest, NeverDropsTodayOrLater) {
  const std::string today = Value("SELECT (now() AT TIME ZONE 'UTC')::date");
  const std::string tomorrow = Value("SELECT (now() AT TIME ZONE 'UTC')::date + 1");
  Ensure(today);
  Ensure(tomorrow);
  EXPECT_EQ(Value("SELECT sluice_drop_partitions_before('infinity')"), "0");
}

class RightsTest : public MigrateTest {
 protected:
  void SetUp() override {
    MigrateTest::SetUp();
    MustMigrate();
    daemon_ = ConnectAsDaemon();
  }
  void Allows(const std::string& sql) {
    PgResult<PgRows> rows = daemon_->Exec(sql);
    EXPECT_TRUE(rows.ok()) << sql << ": " << rows.error().Describe();
  }
  void Refuses(const std::string& sql) { EXPECT_EQ(SqlstateOf(*daemon_, sql), "42501") << sql; }

  std::unique_ptr<PgConnection> daemon_;
};

TEST_F(RightsTest, TheDaemonCopiesForEveryTenantWithoutSuperuserOrBypass) {
  EXPECT_EQ(Value("SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb FROM pg_roles"
                  " WHERE rolname = 'gate'"),
            "f");
  EXPECT_EQ(Value("SELECT bool_and(relrowsecurity) FROM pg_class WHERE oid IN"
                  " ('telemetry'::regclass, 'quarantine_events'::regclass)"),
            "t");
  Allows("SELECT sluice_ensure_partition('2026-03-01')");
  PgResult<int64_t> rows = Copy(*daemon_, kTelemetryColumns, kTwoTenantsRows);
  ASSERT_TRUE(rows.ok()) << rows.error().Describe();
  EXPECT_EQ(*rows, 2);
  PgResult<int64_t> events =
      Copy(*daemon_, "quarantine_events (tenant_id, reason, payload, payload_bytes, spool_seq)",
           "orchard\tTOKEN_INVALID\t{}\t\\\\x7b7d\t1\n\\N\tBAD_TOPIC_FORMAT\tnull\t\\\\x00\t2\n");
  ASSERT_TRUE(events.ok()) << events.error().Describe();
  EXPECT_EQ(Value("SELECT count(*) FROM quarantine_events WHERE replay_state = 'NEW'"), "2");
}

// Why the daemon's role is a member of the owner: with the grants alone, COPY is not to be had.
TEST_F(RightsTest, CopyNeedsTheMembershipAndNotOnlyTheGrants) {
  Query("REVOKE sluice_owner FROM gate");
  PgResult<int64_t> copied = Copy(*daemon_, kTelemetryColumns, kTwoTenantsRows);
  ASSERT_FALSE(copied.ok());
  EXPECT_EQ(copied.error().sqlstate, "0A000");
}

TEST_F(RightsTest, TheDaemonMayDoAllThatIngestDoes) {
  Query(
      "INSERT INTO subscriptions (subscription_id, tenant_id, device_limit)"
      " VALUES ('S', 'orchard', 5)");
  Query("INSERT INTO device_registry (tenant_id, device_id, site_id) VALUES ('orchard', 'p', 'n')");
  Allows(
      "INSERT INTO quarantine_counters_minute VALUES (date_trunc('minute', now()), 'orchard',"
      " 'TOKEN_INVALID', 1) ON CONFLICT (bucket_minute, tenant_id, reason) DO UPDATE"
      " SET cnt = quarantine_counters_minute.cnt + excluded.cnt");
  Allows(
      "INSERT INTO ingest_ledger (spool_id, first_seq, last_seq, messages, rows, quarantined,"
      " damaged) VALUES (gen_random_uuid(), 1, 9, 9, 8, 1, 0); SELECT * FROM ingest_ledger;"
      "DELETE FROM ingest_ledger");
  Allows(
      "SELECT * FROM device_certificates; SELECT * FROM app_settings;"
      "SELECT sluice_drop_partitions_before('2020-01-01')");
  Allows(
      "BEGIN; SELECT pg_advisory_xact_lock(1); SELECT subscription_id FROM subscriptions"
      " WHERE tenant_id = 'orchard' FOR UPDATE; INSERT INTO device_registry (tenant_id,"
      " device_id, site_id, subscription_id) VALUES ('orchard', 'probe-7', 'north', 'S');"
      "UPDATE subscriptions SET active_device_count = active_device_count + 1,"
      " updated_at = now() WHERE subscription_id = 'S'; COMMIT");
  Allows(
      "UPDATE device_registry SET latitude = 45.5, longitude = 7.25, location_source = 'auto',"
      " updated_at = now() WHERE tenant_id = 'orchard' AND device_id = 'p'");
  Allows("NOTIFY telemetry_inserted, '{}'");
  EXPECT_EQ(Query(*daemon_,
                  "SELECT count(*) FROM device_registry WHERE latitude = 45.5 OR"
                  " device_id = 'probe-7'")
                .Int(0, 0),
            2);
  EXPECT_EQ(*SchemaVersion(*daemon_), AllMigrations().back().version);
}

TEST_F(RightsTest, TheDaemonMayDoNothingElse) {
  Refuses("UPDATE device_registry SET provision_token_hash = 'mine'");
  Refuses("UPDATE device_registry SET status = 'ACTIVE'");
  Refuses("DELETE FROM device_registry");
  Refuses("UPDATE device_certificates SET status = 'ACTIVE'");
  Refuses("INSERT INTO device_certificates (tenant_id) VALUES ('x')");
  Refuses("UPDATE subscriptions SET device_limit = 1000");
  Refuses("INSERT INTO subscriptions (subscription_id, tenant_id) VALUES ('x', 'x')");
  Refuses("UPDATE app_settings SET value = '1'");
  Refuses("DELETE FROM quarantine_counters_minute");
  Refuses("UPDATE ingest_ledger SET last_seq = 0");
  Refuses("INSERT INTO sluice_schema_migrations VALUES (1, 'x', now(), 'x')");
  Refuses("DROP TABLE device_registry");
  Refuses("CREATE TABLE mine (n int)");
  Refuses("DROP TABLE telemetry_default");
  Refuses("SET ROLE postgres");
}

TEST_F(RightsTest, TheFunctionsAreNotForEverybody) {
  auto tenant = ConnectAsTenant("orchard");
  EXPECT_EQ(SqlstateOf(*tenant, "SELECT sluice_ensure_partition('2026-03-01')"), "42501");
  EXPECT_EQ(SqlstateOf(*tenant, "SELECT sluice_drop_partitions_before('2026-03-01')"), "42501");
  EXPECT_EQ(SqlstateOf(*tenant, "SELECT sluice_expire_quarantine(now(), 1)"), "42501");
  EXPECT_EQ(SqlstateOf(*tenant, "SELECT sluice_recount_quarantine()"), "42501");
}

TEST_F(RightsTest, ATenantSeesItsOwnRowsAndNoTokens) {
  Query(
      "INSERT INTO device_registry (tenant_id, device_id, site_id, provision_token_hash)"
      " VALUES ('orchard', 'probe-1', 'north', 'h'), ('harbour', 'crane-1', 'quay', 'h')");
  ASSERT_TRUE(Copy(*daemon_, kTelemetryColumns, kTwoTenantsRows).ok());
  Query(
      "INSERT INTO quarantine_events (tenant_id, reason, payload)"
      " VALUES ('orchard', 'X', '{}'), ('harbour', 'X', '{}'), (NULL, 'X', '{}')");
  auto tenant = ConnectAsTenant("orchard");
  const std::string seen = "SELECT count(*), min(tenant_id), max(tenant_id) FROM ";
  for (const char* table : {"telemetry", "quarantine_events", "device_registry"}) {
    const PgRows rows = Query(*tenant, seen + table);
    EXPECT_EQ(rows.Int(0, 0), 1) << table;
    EXPECT_EQ(rows.Text(0, 1), "orchard") << table;
  }
  EXPECT_EQ(SqlstateOf(*tenant, "SELECT provision_token_hash FROM device_registry"), "42501");
  EXPECT_EQ(SqlstateOf(*tenant, "SELECT token_hash FROM quarantine_events"), "42501");
  EXPECT_EQ(SqlstateOf(*tenant, "SELECT * FROM telemetry_default"), "42501");
  EXPECT_EQ(SqlstateOf(*tenant,
                       "INSERT INTO telemetry (time, tenant_id, device_id, site_id)"
                       " VALUES (now(), 'orchard', 'x', 'x')"),
            "42501");
}

TEST_F(RightsTest, WithoutATenantNothingIsSeenAndAnOperatorSeesAll) {
  ASSERT_TRUE(Copy(*daemon_, kTelemetryColumns, kTwoTenantsRows).ok());
  auto tenant = ConnectAsTenant("orchard");
  Query(*tenant, "RESET app.tenant_id");
  EXPECT_EQ(Query(*tenant, "SELECT count(*) FROM telemetry").Int(0, 0), 0);
  auto op = SharedPostgres().Connect(database_, "pulse_operator");
  EXPECT_EQ(Query(*op, "SELECT count(*) FROM telemetry").Int(0, 0), 2);
  EXPECT_EQ(SqlstateOf(*op, "DELETE FROM telemetry"), "42501");
}

}  // namespace
}  // namespace sluice
