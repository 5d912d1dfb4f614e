// Rows that pass every check and that the table refuses: only they are quarantined. And a table
// that refuses every row: then nothing is.
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>
#include <string>

#include "tests/fault/fault_rig.h"

namespace sluice::testing {
namespace {

using std::chrono::steady_clock;

constexpr int kMessages = 10'000;  // 100 of each device

// One transaction for all of them, so that finding the guilty is a search worth its name.
const Env kOneChunk = {
    {"BATCH_SIZE", "10000"}, {"CHUNK_MAX_BYTES", "16MiB"}, {"INGEST_WORKER_COUNT", "1"}};

// 1, 10 or 100 rows of the first fleet's messages 1 to 100 of each device; `row` is "" or "NEW.".
std::string GuiltyRows(int guilty, const std::string& row) {
  const std::string all = row + "seq = 50";
  if (guilty == 1) return all + " AND " + row + "device_id = 'device-50'";
  if (guilty == 10) return all + " AND " + row + "device_id LIKE 'device-1_'";
  return all;
}

int64_t NumberAfter(const std::string& line, const std::string& name) {
  const size_t at = line.find(name + "=");
  return at == std::string::npos ? -1 : std::stoll(line.substr(at + name.size() + 1));
}

// The last line of the log with that event.
std::string LastLine(const std::string& log, const std::string& event) {
  std::istringstream lines(log);
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    if (line.find(' ' + event + ' ') != std::string::npos) last = line;
  }
  return last;
}

// SQL that makes the table refuse the rows for which `guilty` is true.
std::string RefuseByTrigger(const std::string& guilty, const std::string& how) {
  return "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF " + guilty +
         " THEN " + how +
         "; END IF; RETURN NEW; END $$; CREATE TRIGGER refuse BEFORE INSERT ON telemetry "
         "FOR EACH ROW EXECUTE FUNCTION refuse()";
}

class PoisonRows : public ::testing::TestWithParam<int> {
 protected:
  void Check(const std::string& name, const std::string& sql) {
    const int guilty = GetParam();
    Scenario scenario("8", "poison rows: " + std::to_string(guilty) + " of 10,000, " + name);
    for (int i = 0; i < Repetitions(1, 3); ++i) {
      FaultRig rig(kOneChunk);
      rig.OnlyGood();
      rig.stack().Start();
      rig.database_line().Refuse(true);
      rig.database_line().CutAll();
      rig.Publish(kMessages, 20'000);
      rig.stack().Sql(sql);
      rig.database_line().Refuse(false);
      const auto start = steady_clock::now();
      scenario.Judged(rig.Settle());
      scenario.Recovered(steady_clock::now() - start);
      scenario.Repeated();
      CheckTables(rig, guilty, scenario);
    }
  }

  static void CheckTables(FaultRig& rig, int guilty, Scenario& scenario) {
    const int64_t kept = rig.stack().Count(
        "quarantine_events WHERE reason = 'STORAGE_REJECTED' AND (payload->>'seq')::int = 50");
    EXPECT_EQ(kept, rig.stack().Count("quarantine_events WHERE reason = 'STORAGE_REJECTED'"));
    EXPECT_EQ(kept, guilty);
    const std::string line = LastLine(rig.stack().log(), "rows_refused_by_database");
    const int64_t copies = NumberAfter(line, "copies");
    const double log_n = std::log2(kMessages);
    EXPECT_GT(copies, 0) << line;
    EXPECT_LE(static_cast<double>(copies), 4.0 * guilty + log_n) << line;
    const std::string chunks = rig.stack().Value("SELECT count(*) FROM ingest_ledger");
    scenario.Say(std::to_string(copies) + " COPYs in " + chunks + " transactions");
  }
};

TEST_P(PoisonRows, OfACheckConstraintAreQuarantinedAlone) {
  Check("CHECK constraint", "ALTER TABLE telemetry ADD CONSTRAINT guilty CHECK (NOT (" +
                                GuiltyRows(GetParam(), "") + "))");
}

TEST_P(PoisonRows, WithATooLongValueAreQuarantinedAlone) {
  Check("value too long",
        "ALTER TABLE telemetry ALTER COLUMN site_id TYPE varchar(20);" +
            RefuseByTrigger(GuiltyRows(GetParam(), "NEW."), "NEW.site_id := repeat('x', 30)"));
}

TEST_P(PoisonRows, OfAFailingTriggerAreQuarantinedAlone) {
  Check("failing trigger",
        RefuseByTrigger(GuiltyRows(GetParam(), "NEW."), "RAISE EXCEPTION 'guilty'"));
}

INSTANTIATE_TEST_SUITE_P(Of10000, PoisonRows, ::testing::Values(1, 10, 100));

struct BrokenTable {
  std::string name;
  std::string breaking;
  std::string mending;
};

class EveryRowFails : public ::testing::TestWithParam<BrokenTable> {};

TEST_P(EveryRowFails, SoNothingIsQuarantinedAndItResumesAfterTheMend) {
  Scenario scenario("8", "every row refused: " + GetParam().name);
  FaultRig rig;
  rig.stack().Start();
  // Ready comes before the last of the partitions that are made ahead.
  ASSERT_TRUE(Eventually([&] {
    return rig.stack().Value(
               "SELECT to_regclass('telemetry_p' || to_char((now() AT TIME ZONE 'UTC')"
               "::date + 7, 'YYYYMMDD')) IS NOT NULL") == "t";
  }));
  for (int i = 0; i < Repetitions(1, 5); ++i) {
    rig.stack().Sql(GetParam().breaking);
    rig.Publish(500, 3000);
    EXPECT_TRUE(rig.SoonNotReady("every row is refused"));
    EXPECT_EQ(rig.stack().Count("quarantine_events WHERE reason = 'STORAGE_REJECTED'"), 0);
    rig.stack().Sql(GetParam().mending);
    const auto start = steady_clock::now();
    ASSERT_TRUE(rig.SoonReady());
    scenario.Recovered(steady_clock::now() - start);
    scenario.Repeated();
  }
  scenario.Judged(rig.Settle());
  EXPECT_EQ(rig.stack().Count("quarantine_events WHERE reason = 'STORAGE_REJECTED'"), 0);
}

constexpr const char* kBrokenTrigger =
    "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
    "'broken'; END $$; CREATE TRIGGER broken BEFORE INSERT ON telemetry FOR EACH ROW "
    "EXECUTE FUNCTION broken()";
// The day's partition is known to be there by now, so nobody makes it again.
constexpr const char* kNoPartition =
    "DO $$ DECLARE part regclass; BEGIN FOR part IN SELECT inhrelid::regclass FROM pg_inherits "
    "WHERE inhparent = 'telemetry'::regclass LOOP EXECUTE format('ALTER TABLE telemetry DETACH "
    "PARTITION %s', part); END LOOP; END $$";
constexpr const char* kDefaultPartition =
    "CREATE TABLE IF NOT EXISTS telemetry_rest (LIKE telemetry INCLUDING ALL);"
    "ALTER TABLE telemetry_rest OWNER TO sluice_owner;"
    "ALTER TABLE telemetry ATTACH PARTITION telemetry_rest DEFAULT";

INSTANTIATE_TEST_SUITE_P(
    Breaker, EveryRowFails,
    ::testing::Values(BrokenTable{"broken trigger", kBrokenTrigger, "DROP FUNCTION broken CASCADE"},
                      BrokenTable{"missing partition", kNoPartition, kDefaultPartition},
                      BrokenTable{"CHECK that nothing passes",
                                  "ALTER TABLE telemetry ADD CONSTRAINT never CHECK (false) NOT "
                                  "VALID",
                                  "ALTER TABLE telemetry DROP CONSTRAINT never"}));

}  // namespace
}  // namespace sluice::testing
