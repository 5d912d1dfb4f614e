// PgConnection against a real server: deadlines, COPY, what an error carries.
#include "base/postgres.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/support/free_port.h"
#include "tests/support/postgres_server.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::SharedPostgres;

class PgConnectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = SharedPostgres().CreateDatabase();
    connection_ = SharedPostgres().Connect(database_);
    Must("CREATE TABLE readings (device text NOT NULL, value int NOT NULL CHECK (value >= 0))");
  }

  void Must(const std::string& sql) {
    PgResult<PgRows> done = connection_->Exec(sql);
    ASSERT_TRUE(done.ok()) << done.error().Describe();
  }
  int64_t Count() { return (*connection_->Exec("SELECT count(*) FROM readings")).Int(0, 0); }
  bool Usable() {
    PgResult<PgRows> rows = connection_->Exec("SELECT 41 + 1");
    return rows.ok() && rows->Int(0, 0) == 42;
  }

  std::string database_;
  std::unique_ptr<PgConnection> connection_;
};

constexpr const char* kCopy = "COPY readings FROM STDIN";

TEST_F(PgConnectionTest, ReturnsTheLastStatementsRows) {
  PgResult<PgRows> rows = connection_->Exec(
      "INSERT INTO readings VALUES ('a', 1); SELECT device, value, 2.5, true, NULL FROM readings");
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 1);
  EXPECT_EQ(rows->Text(0, 0), "a");
  EXPECT_EQ(rows->Int(0, 1), 1);
  EXPECT_EQ(rows->Double(0, 2), 2.5);
  EXPECT_TRUE(rows->Bool(0, 3));
  EXPECT_TRUE(rows->IsNull(0, 4));
  EXPECT_EQ(rows->Text(0, 4), "");
}

TEST_F(PgConnectionTest, PassesParametersAndNullsApartFromTheStatement) {
  PgResult<PgRows> rows = connection_->ExecParams("SELECT $1::text, $2::text IS NULL, $3::int + 1",
                                                  {"'; DROP TABLE readings --", std::nullopt, "6"});
  ASSERT_TRUE(rows.ok()) << rows.error().Describe();
  EXPECT_EQ(rows->Text(0, 0), "'; DROP TABLE readings --");
  EXPECT_TRUE(rows->Bool(0, 1));
  EXPECT_EQ(rows->Int(0, 2), 7);
}

TEST_F(PgConnectionTest, CountsAffectedRows) {
  PgResult<PgRows> rows = connection_->Exec("INSERT INTO readings VALUES ('a', 1), ('b', 2)");
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->affected(), 2);
}

TEST_F(PgConnectionTest, ReportsTheFirstErrorOfSeveralStatementsAndSkipsTheRest) {
  PgResult<PgRows> rows = connection_->Exec(
      "INSERT INTO readings VALUES ('a', 1); INSERT INTO readings VALUES ('b', -1);"
      "SELECT nonsense; INSERT INTO readings VALUES ('c', 3)");
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().sqlstate, "23514");
  EXPECT_FALSE(rows.error().connection_lost);
  EXPECT_EQ(Count(), 0);
}

TEST_F(PgConnectionTest, KeepsWarningsForTheCaller) {
  Must("DO $$ BEGIN RAISE WARNING 'low on oil'; END $$");
  EXPECT_THAT(connection_->TakeNotices(), ElementsAre("low on oil"));
  EXPECT_THAT(connection_->TakeNotices(), ElementsAre());
}

TEST_F(PgConnectionTest, RefusesCopyThroughExecAndStaysUsable) {
  EXPECT_FALSE(connection_->Exec(kCopy).ok());
  EXPECT_TRUE(Usable());
}

TEST_F(PgConnectionTest, CopiesRowsAndCountsThem) {
  ASSERT_TRUE(connection_->CopyBegin(std::string("BEGIN; ") + kCopy).ok());
  ASSERT_TRUE(connection_->CopyPut("a\t1\nb").ok());
  ASSERT_TRUE(connection_->CopyPut("\t2\n").ok());
  PgResult<int64_t> copied = connection_->CopyEnd();
  ASSERT_TRUE(copied.ok()) << copied.error().Describe();
  EXPECT_EQ(*copied, 2);
  Must("COMMIT");
  EXPECT_EQ(Count(), 2);
}

TEST_F(PgConnectionTest, CopiesMoreThanTheSocketHolds) {
  std::string piece;
  for (int i = 0; i < 4000; ++i) piece += "device-" + std::to_string(i) + "\t7\n";
  ASSERT_TRUE(connection_->CopyBegin(kCopy).ok());
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(connection_->CopyPut(piece).ok());
  PgResult<int64_t> copied = connection_->CopyEnd();
  ASSERT_TRUE(copied.ok()) << copied.error().Describe();
  EXPECT_EQ(*copied, 800000);
}

TEST_F(PgConnectionTest, NamesTheLineOfACopyThatTheServerRefuses) {
  ASSERT_TRUE(connection_->CopyBegin(std::string("BEGIN; ") + kCopy).ok());
  ASSERT_TRUE(connection_->CopyPut("a\t1\nb\t-2\nc\t3\n").ok());
  PgResult<int64_t> copied = connection_->CopyEnd();
  ASSERT_FALSE(copied.ok());
  EXPECT_EQ(copied.error().sqlstate, "23514");
  EXPECT_THAT(copied.error().context, HasSubstr("COPY readings, line 2"));
  EXPECT_THAT(copied.error().Describe(), AllOf(HasSubstr("23514: "), HasSubstr("line 2")));
  EXPECT_FALSE(copied.error().connection_lost);
  Must("ROLLBACK");
  EXPECT_TRUE(Usable());
}

TEST_F(PgConnectionTest, AbortedCopyStoresNothingAndLeavesTheConnectionUsable) {
  ASSERT_TRUE(connection_->CopyBegin(kCopy).ok());
  ASSERT_TRUE(connection_->CopyPut("a\t1\n").ok());
  connection_->CopyAbort("changed my mind");
  EXPECT_TRUE(connection_->alive());
  EXPECT_EQ(Count(), 0);
}

TEST_F(PgConnectionTest, DestructorNeverCompletesACopy) {
  ASSERT_TRUE(connection_->CopyBegin(kCopy).ok());
  ASSERT_TRUE(connection_->CopyPut("a\t1\n").ok());
  connection_ = SharedPostgres().Connect(database_);
  EXPECT_EQ(Count(), 0);
}

TEST_F(PgConnectionTest, RefusedCopyBeginLeavesTheConnectionUsable) {
  PgStatus begun = connection_->CopyBegin("COPY nowhere FROM STDIN");
  ASSERT_FALSE(begun.ok());
  EXPECT_EQ(begun.error().sqlstate, "42P01");
  EXPECT_FALSE(connection_->CopyBegin("SELECT 1").ok());
  EXPECT_FALSE(connection_->CopyPut("a\t1\n").ok());
  EXPECT_TRUE(Usable());
}

// Stops the connection's backend, as a hung server would be, until the end of the scope.
class StoppedBackend {
 public:
  explicit StoppedBackend(int pid) : pid_(pid) { kill(pid_, SIGSTOP); }
  ~StoppedBackend() { kill(pid_, SIGCONT); }
  StoppedBackend(const StoppedBackend&) = delete;
  StoppedBackend& operator=(const StoppedBackend&) = delete;

 private:
  const int pid_;
};

TEST_F(PgConnectionTest, GivesUpOnAStoppedBackendAtTheDeadline) {
  const StoppedBackend stopped(connection_->backend_pid());
  connection_->set_timeout(milliseconds(100));
  PgResult<PgRows> rows = connection_->Exec("SELECT 1");
  ASSERT_FALSE(rows.ok());
  EXPECT_TRUE(rows.error().timed_out);
  EXPECT_TRUE(rows.error().connection_lost);
  EXPECT_EQ(rows.error().sqlstate, "");
  EXPECT_FALSE(connection_->alive());
  EXPECT_TRUE(connection_->Exec("SELECT 1").error().connection_lost);
}

TEST_F(PgConnectionTest, GivesUpInTheMiddleOfACopyAtTheDeadline) {
  ASSERT_TRUE(connection_->CopyBegin(kCopy).ok());
  const StoppedBackend stopped(connection_->backend_pid());
  connection_->set_timeout(milliseconds(100));
  std::string piece;
  while (piece.size() < 65536) piece += "a\t1\n";
  std::optional<PgError> error;
  for (int i = 0; i < 4096 && !error.has_value(); ++i) {
    PgStatus put = connection_->CopyPut(piece);
    if (!put.ok()) error = put.error();
  }
  ASSERT_TRUE(error.has_value());
  EXPECT_TRUE(error->timed_out);
  EXPECT_FALSE(connection_->alive());
}

TEST_F(PgConnectionTest, GivesUpAtTheEndOfACopyAtTheDeadline) {
  ASSERT_TRUE(connection_->CopyBegin(kCopy).ok());
  const StoppedBackend stopped(connection_->backend_pid());
  connection_->set_timeout(milliseconds(100));
  PgResult<int64_t> copied = connection_->CopyEnd();
  ASSERT_FALSE(copied.ok());
  EXPECT_TRUE(copied.error().timed_out);
  connection_->CopyAbort("nothing to abort");
}

TEST_F(PgConnectionTest, ReportsATerminatedBackendWithItsSqlstate) {
  auto other = SharedPostgres().Connect(database_);
  ASSERT_TRUE(other
                  ->Exec("SELECT pg_terminate_backend(" +
                         std::to_string(connection_->backend_pid()) + ", 10000)")
                  .ok());
  PgResult<PgRows> rows = connection_->Exec("SELECT 1");
  ASSERT_FALSE(rows.ok());
  EXPECT_TRUE(rows.error().connection_lost);
  EXPECT_FALSE(rows.error().timed_out);
  EXPECT_EQ(rows.error().sqlstate, "57P01");
  EXPECT_FALSE(connection_->alive());
}

TEST_F(PgConnectionTest, ReportsABackendKilledInTheMiddleOfACopy) {
  ASSERT_TRUE(connection_->CopyBegin(kCopy).ok());
  auto other = SharedPostgres().Connect(database_);
  ASSERT_TRUE(other
                  ->Exec("SELECT pg_terminate_backend(" +
                         std::to_string(connection_->backend_pid()) + ", 10000)")
                  .ok());
  bool failed = false;
  for (int i = 0; i < 100 && !failed; ++i) {
    failed = !connection_->CopyPut("a\t1\n").ok();
  }
  if (!failed) failed = !connection_->CopyEnd().ok();
  EXPECT_TRUE(failed);
  EXPECT_FALSE(connection_->alive());
}

TEST_F(PgConnectionTest, QuotesIdentifiersAndLiterals) {
  EXPECT_EQ(connection_->QuoteIdentifier("odd\"name"), "\"odd\"\"name\"");
  EXPECT_EQ(connection_->QuoteLiteral("it's"), "'it''s'");
  EXPECT_EQ(connection_->QuoteLiteral("\xff\xfe"), "");
}

TEST_F(PgConnectionTest, SetsItsNameAndKeepalivesUnlessTheStringDoes) {
  const std::string name = "SHOW application_name";
  EXPECT_EQ((*connection_->Exec(name)).Text(0, 0), "sluice");
  EXPECT_EQ((*connection_->Exec("SHOW client_encoding")).Text(0, 0), "UTF8");
  auto named = PgConnection::Connect(
      SharedPostgres().Conninfo(database_) + " application_name=gate", seconds(10));
  ASSERT_TRUE(named.ok());
  EXPECT_EQ((*(*named)->Exec(name)).Text(0, 0), "gate");
  auto by_url = PgConnection::Connect(SharedPostgres().Url(database_), seconds(10));
  ASSERT_TRUE(by_url.ok());
  EXPECT_EQ((*(*by_url)->Exec(name)).Text(0, 0), "sluice");
}

TEST_F(PgConnectionTest, ConnectErrorsCarryTheSqlstateAndNoPassword) {
  auto missing = PgConnection::Connect(SharedPostgres().Conninfo("no_such_database"), seconds(10));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().sqlstate, "3D000");
  EXPECT_TRUE(missing.error().connection_lost);
  EXPECT_THAT(missing.error().message,
              AllOf(HasSubstr("no_such_database"), Not(HasSubstr("LOCATION")), Not(HasSubstr("\n")),
                    Not(HasSubstr("3D000"))));

  auto leaking = PgConnection::Connect(SharedPostgres().Conninfo("hunter2") + " password=hunter2",
                                       seconds(10));
  ASSERT_FALSE(leaking.ok());
  EXPECT_THAT(leaking.error().message, Not(HasSubstr("hunter2")));

  auto malformed = PgConnection::Connect("host=127.0.0.1 password='hunter2", seconds(10));
  ASSERT_FALSE(malformed.ok());
  EXPECT_THAT(malformed.error().message, Not(HasSubstr("hunter2")));
}

TEST(PgConnectionConnect, SaysInOneLineThatNobodyIsThere) {
  const std::string port = std::to_string(testing::FreePort());
  auto nobody = PgConnection::Connect("host=127.0.0.1 port=" + port, seconds(10));
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().message,
            "connection to server at \"127.0.0.1\", port " + port +
                " failed: Connection refused Is the server running on that host and accepting "
                "TCP/IP connections?");
}

TEST(PgConnectionConnect, GivesUpOnAServerThatAcceptsAndSaysNothing) {
  const testing::Listener listener = testing::ListenOnLoopback();
  auto connection = PgConnection::Connect("host=127.0.0.1 port=" + std::to_string(listener.port),
                                          milliseconds(100));
  ASSERT_FALSE(connection.ok());
  EXPECT_TRUE(connection.error().timed_out);
  EXPECT_TRUE(connection.error().connection_lost);
}

TEST(PostgresServer, KeepsItsRowsOverACrash) {
  testing::PostgresServer server;
  const std::string database = server.CreateDatabase();
  ASSERT_TRUE(server.Connect(database)->Exec("CREATE TABLE kept AS SELECT 7 AS n").ok());
  server.Restart(testing::PostgresServer::StopMode::kKill);
  EXPECT_EQ((*server.Connect(database)->Exec("SELECT n FROM kept")).Int(0, 0), 7);
}

}  // namespace
}  // namespace sluice
