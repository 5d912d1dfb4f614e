// PostgreSQL answers, and the answer is no: for now (retried), or until an operator mends it
// (paused). Nothing of it is the messages' fault, so nothing is quarantined.
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/fault/fault_rig.h"

namespace sluice::testing {
namespace {

using std::chrono::steady_clock;

struct Refusal {
  std::string name;      // of the test
  std::string sqlstate;  // what /ready shows
  std::string breaking;  // as the superuser
  std::string mending;
};

std::string Injected(const std::string& sqlstate) {
  return "CREATE FUNCTION inject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
         "'injected' USING ERRCODE = '" +
         sqlstate +
         "'; END $$; CREATE TRIGGER inject BEFORE INSERT ON telemetry FOR EACH STATEMENT "
         "EXECUTE FUNCTION inject()";
}

constexpr const char* kNoLongerInjected = "DROP FUNCTION inject CASCADE";
// A second one could be logging in just now, and be let in by what was true before.
const Env kOneWorker = {{"INGEST_WORKER_COUNT", "1"}};
// What was changed is committed before the backends go: those that come next see it.
constexpr const char* kBackendsAway =
    "; COMMIT; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
    "'sluice_ingest'";

// A scenario of "7": the daemon has to say so, keep everything, and go on by itself.
void Check(FaultRig& rig, Scenario& scenario, const Refusal& refusal, const std::string& state) {
  for (int i = 0; i < Repetitions(1, 5); ++i) {
    const double stored = rig.stack().Metric("sluice_stored_messages_total");
    rig.Publish(100, 1000);
    ASSERT_TRUE(
        Eventually([&] { return rig.stack().Metric("sluice_stored_messages_total") > stored; }));
    rig.stack().Sql(refusal.breaking);
    rig.Publish(300, 3000);
    EXPECT_TRUE(rig.SoonNotReady("database " + state));
    EXPECT_TRUE(rig.SoonNotReady(refusal.sqlstate));
    EXPECT_EQ(rig.stack().Metric("sluice_database_paused"), state == "paused" ? 1 : 0);
    EXPECT_GT(rig.stack().Metric("sluice_spool_backlog_records"), 0);
    rig.stack().Sql(refusal.mending);
    const auto start = steady_clock::now();
    ASSERT_TRUE(rig.SoonReady());
    scenario.Recovered(steady_clock::now() - start);
    scenario.Repeated();
  }
  scenario.Judged(rig.Settle());
  EXPECT_EQ(rig.stack().Count("quarantine_events WHERE reason = 'STORAGE_REJECTED'"), 0);
  EXPECT_TRUE(rig.stack().daemon().Running()) << "no restart was needed";
}

class Retried : public ::testing::TestWithParam<Refusal> {};

TEST_P(Retried, UntilPostgresTakesIt) {
  Scenario scenario("7", "SQLSTATE " + GetParam().name + ": retried");
  FaultRig rig(kOneWorker);
  rig.stack().Start();
  Check(rig, scenario, GetParam(), "retrying");
}

INSTANTIATE_TEST_SUITE_P(
    Sqlstates, Retried,
    ::testing::Values(
        Refusal{"40P01", "40P01", Injected("40P01"), kNoLongerInjected},
        Refusal{"40001", "40001", Injected("40001"), kNoLongerInjected},
        Refusal{"53100", "53100", Injected("53100"), kNoLongerInjected},
        Refusal{"53300", "53300",
                std::string("ALTER ROLE sluice_ingest CONNECTION LIMIT 0") + kBackendsAway,
                "ALTER ROLE sluice_ingest CONNECTION LIMIT -1"},
        Refusal{"55P03", "55P03", Injected("55P03"), kNoLongerInjected},
        Refusal{"57014", "57014", Injected("57014"), kNoLongerInjected},
        Refusal{"57P01", "57P01", Injected("57P01"), kNoLongerInjected},
        Refusal{"57P02", "57P02", Injected("57P02"), kNoLongerInjected},
        Refusal{"57P03", "57P03", Injected("57P03"), kNoLongerInjected},
        Refusal{"25006", "25006",
                std::string("ALTER ROLE sluice_ingest SET default_transaction_read_only = on") +
                    kBackendsAway,
                std::string("ALTER ROLE sluice_ingest RESET default_transaction_read_only") +
                    kBackendsAway}),
    [](const auto& refusal) { return refusal.param.name; });

class Paused : public ::testing::TestWithParam<Refusal> {};

TEST_P(Paused, UntilAnOperatorMendsIt) {
  Scenario scenario("7", GetParam().name + ": paused, " + GetParam().sqlstate);
  FaultRig rig(kOneWorker);
  rig.stack().Start();
  Check(rig, scenario, GetParam(), "paused");
  EXPECT_NE(rig.stack().log().find("ERROR database_paused"), std::string::npos) << "no alarm";
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, Paused,
    ::testing::Values(Refusal{"TableGone", "42P01", "ALTER TABLE telemetry RENAME TO away",
                              "ALTER TABLE away RENAME TO telemetry"},
                      Refusal{"GrantGone", "42501",
                              "REVOKE INSERT ON telemetry FROM sluice_owner, sluice_ingest",
                              "GRANT INSERT ON telemetry TO sluice_owner, sluice_ingest"},
                      Refusal{"ColumnGone", "42703", "ALTER TABLE telemetry DROP COLUMN metrics",
                              "ALTER TABLE telemetry ADD COLUMN metrics jsonb"},
                      Refusal{"RoleMayNotLogIn", "28000",
                              std::string("ALTER ROLE sluice_ingest NOLOGIN") + kBackendsAway,
                              "ALTER ROLE sluice_ingest LOGIN"}),
    [](const auto& refusal) { return refusal.param.name; });

// A server of its own, as this one asks for passwords.
TEST(PausedByAPassword, ThatIsWrongUntilAnOperatorMendsIt) {
  Scenario scenario("7", "WrongPassword: paused, 28P01");
  PostgresServer server;
  FaultRig rig(kOneWorker, &server);
  std::string& url = rig.stack().env()["DATABASE_URL"];
  url.replace(url.find('@'), 1, ":right@");
  const std::string right = "ALTER ROLE sluice_ingest PASSWORD 'right'";
  rig.stack().Sql(right);
  const std::string hba = rig.stack().Value("SHOW hba_file");
  const std::string rules = ReadFile(hba);
  std::ofstream(hba) << "host all sluice_ingest 127.0.0.1/32 scram-sha-256\n" << rules;
  rig.stack().Sql("SELECT pg_reload_conf()");
  rig.stack().Start();
  Check(rig, scenario,
        {"WrongPassword", "28P01",
         std::string("ALTER ROLE sluice_ingest PASSWORD 'wrong'") + kBackendsAway, right},
        "paused");
  EXPECT_EQ(rig.stack().log().find("right"), std::string::npos) << "a password in the log";
}

}  // namespace
}  // namespace sluice::testing
