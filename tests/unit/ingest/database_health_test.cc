#include "ingest/database_health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using testing::HasSubstr;
using Seen = DatabaseHealth::Seen;

PgError Error(const std::string& sqlstate) {
  return {sqlstate, "words of the server", "", false, false};
}

TEST(Classify, RetriesWhatPassesByItself) {
  for (const char* state : {"08000", "08006", "25006", "40001", "40P01", "53100", "53200", "53300",
                            "55P03", "57014", "57P01", "57P02", "57P03", "58030", "XX000"}) {
    EXPECT_EQ(Classify(Error(state)), Failure::kRetry) << state;
  }
}

TEST(Classify, RetriesWhenTheServerDidNotAnswer) {
  EXPECT_EQ(Classify({"", "deadline", "", true, true}), Failure::kRetry);
  EXPECT_EQ(Classify({"", "connection lost", "", true, false}), Failure::kRetry);
}

TEST(Classify, LeavesToTheOperatorWhatOnlyHeCanMend) {
  for (const char* state : {"28000", "28P01", "3D000", "3F000", "42501", "42P01", "42703", "42883",
                            "0A000", "F0000", "26000"}) {
    EXPECT_EQ(Classify(Error(state)), Failure::kOperator) << state;
  }
}

TEST(Classify, BlamesTheRowForDataAndConstraintsAndLimits) {
  for (const char* state : {"22001", "22003", "22008", "22021", "22P02", "22P05", "23502", "23503",
                            "23505", "23514", "54000", "54001", "P0001"}) {
    EXPECT_EQ(Classify(Error(state)), Failure::kPoison) << state;
  }
}

TEST(DatabaseState, HasAName) {
  EXPECT_EQ(DatabaseStateName(DatabaseState::kUnknown), "unknown");
  EXPECT_EQ(DatabaseStateName(DatabaseState::kUp), "up");
  EXPECT_EQ(DatabaseStateName(DatabaseState::kRetrying), "retrying");
  EXPECT_EQ(DatabaseStateName(DatabaseState::kPaused), "paused");
}

TEST(DatabaseHealth, KnowsNothingAtFirst) {
  DatabaseHealth health;
  EXPECT_EQ(health.view().state, DatabaseState::kUnknown);
  EXPECT_EQ(health.view().reason, "");
}

TEST(DatabaseHealth, TellsAnOutageFromARefusal) {
  DatabaseHealth health;
  health.Failed(Seen::kByCommit, Error("57P01"));
  EXPECT_EQ(health.view().state, DatabaseState::kRetrying);
  EXPECT_THAT(health.view().reason, HasSubstr("57P01: words of the server"));
  health.Failed(Seen::kByCommit, Error("42501"));
  EXPECT_EQ(health.view().state, DatabaseState::kPaused);
  EXPECT_THAT(health.view().reason, HasSubstr("42501"));
}

TEST(DatabaseHealth, BelievesACommitOverEverything) {
  DatabaseHealth health;
  health.Failed(Seen::kByWatcher, Error("57P01"));
  health.Failed(Seen::kByCommit, Error("42501"));
  health.Succeeded(Seen::kByCommit);
  EXPECT_EQ(health.view().state, DatabaseState::kUp);
  EXPECT_EQ(health.view().reason, "");
}

TEST(DatabaseHealth, LetsAWatcherSpeakForTheConnectionOnly) {
  DatabaseHealth health;
  health.Succeeded(Seen::kByWatcher);
  EXPECT_EQ(health.view().state, DatabaseState::kUp) << "nothing to commit is no trouble";
  health.Failed(Seen::kByCommit, Error("42501"));
  health.Succeeded(Seen::kByWatcher);
  EXPECT_EQ(health.view().state, DatabaseState::kPaused) << "rows are still refused";
  health.Succeeded(Seen::kByCommit);
  health.Failed(Seen::kByWatcher, Error("08006"));
  EXPECT_EQ(health.view().state, DatabaseState::kRetrying);
}

TEST(DatabaseHealth, ShowsTheWorseOfTheTwo) {
  DatabaseHealth health;
  health.Failed(Seen::kByWatcher, DatabaseState::kPaused, "schema");
  health.Failed(Seen::kByCommit, DatabaseState::kRetrying, "away");
  EXPECT_EQ(health.view().state, DatabaseState::kPaused);
  EXPECT_EQ(health.view().reason, "schema");
}

TEST(DatabaseHealth, KeepsAConcernUntilItIsOverAndStaysAsReadyAsItWas) {
  DatabaseHealth health;
  health.Succeeded(Seen::kByCommit);
  health.SetConcern(Concern::kPartitionMissing, "no partition");
  health.Succeeded(Seen::kByCommit);
  EXPECT_EQ(health.view().state, DatabaseState::kUp);
  EXPECT_THAT(health.concerns(), testing::ElementsAre("", "no partition", ""));
  health.SetConcern(Concern::kPartitionMissing, "");
  EXPECT_THAT(health.concerns(), testing::ElementsAre("", "", ""));
}

TEST(PgError, SaysWhatWasBeingDone) {
  const PgError inner = Error("42501").During("reading a table");
  EXPECT_EQ(inner.Describe(), "reading a table: 42501: words of the server");
  EXPECT_EQ(inner.During("starting").Describe(), inner.Describe()) << "the inner step knows better";
}

}  // namespace
}  // namespace sluice
