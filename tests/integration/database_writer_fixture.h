// A DatabaseWriter on a database of its own, as the daemon's role, behind a line that can be cut.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <regex>
#include <string>

#include "ingest/database_writer.h"
#include "schema/migrator.h"
#include "tests/support/ingest_fixture.h"
#include "tests/support/postgres_server.h"
#include "tests/support/tcp_proxy.h"

namespace sluice {

inline constexpr char kSpool[] = "01234567-89ab-cdef-0123-456789abcdef";
// What RefusePoison refuses.
inline constexpr char kPoison[] =
    R"({"site_id":"north","provision_token":"tok-apple","metrics":{"poison":1}})";
inline constexpr char kRole[] = "gate_writer";

class DatabaseWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = testing::SharedPostgres().CreateDatabase();
    admin_ = testing::SharedPostgres().Connect(database_);
    const auto migrated = Migrate(*admin_, {});
    ASSERT_TRUE(migrated.ok()) << migrated.message();
    Sql("DO $$ BEGIN CREATE ROLE " + std::string(kRole) +
        " LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$");
    const std::string grants =
        testing::ReadFile(std::string(SLUICE_SOURCE_DIR) + "/deploy/postgres/grants.sql");
    Sql(std::regex_replace(grants, std::regex(":\"role\""), kRole));
    Connect(std::chrono::seconds(10));
  }

  // A writer of its own connection, through the proxy.
  void Connect(std::chrono::milliseconds timeout) {
    session_ = std::make_unique<PgSession>("host=127.0.0.1 port=" + std::to_string(proxy_.port()) +
                                               " dbname=" + database_ + " user=" + kRole,
                                           std::chrono::seconds(10), timeout);
    writer_ = std::make_unique<DatabaseWriter>(WriterOptions{.spool_id = kSpool}, *session_,
                                               parts_.shared);
  }

  PgRows Sql(const std::string& sql) {
    PgResult<PgRows> rows = admin_->Exec(sql);
    EXPECT_TRUE(rows.ok()) << sql << ": " << rows.error().Describe();
    return rows.ok() ? std::move(*rows) : PgRows();
  }
  std::string Value(const std::string& sql) {
    const PgRows rows = Sql(sql);
    return rows.size() == 0 ? "(no row)" : std::string(rows.Text(0, 0));
  }
  int64_t Count(const std::string& from) { return Sql("SELECT count(*) FROM " + from).Int(0, 0); }

  CommitReport MustCommit(Batch* batch) {
    PgResult<CommitReport> report = writer_->Commit(batch);
    EXPECT_TRUE(report.ok()) << report.error().Describe();
    return report.ok() ? *report : CommitReport{};
  }
  void ExpectNothingWritten() {
    EXPECT_EQ(Count("telemetry"), 0);
    EXPECT_EQ(Count("quarantine_events"), 0);
    EXPECT_EQ(Count("quarantine_counters_minute"), 0);
    EXPECT_EQ(Count("ingest_ledger"), 0);
  }
  // Rows whose metrics have that key are refused, naming the line; nobody says why.
  void RefusePoison() {
    Sql("ALTER TABLE telemetry ADD CONSTRAINT no_poison CHECK (NOT metrics ? 'poison')");
  }

  testing::TcpProxy proxy_{testing::SharedPostgres().port()};
  std::string database_;
  std::unique_ptr<PgConnection> admin_;
  PipelineParts parts_;
  std::unique_ptr<PgSession> session_;
  std::unique_ptr<DatabaseWriter> writer_;
};

}  // namespace sluice
