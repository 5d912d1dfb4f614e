// The spool's files are damaged between two lives of the daemon, or its database is older than it.
// What the test destroyed itself is the only thing that may be missing, and it must be missing
// exactly; L counts what is missing beyond it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <set>
#include <thread>

#include "ingest/spool/format.h"
#include "tests/fault/fault_rig.h"
#include "tests/fault/spool_files.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

constexpr seconds kReadyWithin{5};
constexpr int kBacklog = 600;  // three segments
constexpr int kRate = 6000;

size_t Below(size_t bound) {
  return std::uniform_int_distribution<size_t>(0, bound - 1)(Random());
}

class SpoolDamage : public ::testing::Test {
 protected:
  using Ids = std::unordered_set<std::string>;

  // Leaves a dead daemon with a spool of messages that it has acknowledged and not committed.
  void MakeBacklog() {
    if (!alive_) rig_.stack().Start();
    rig_.database_line().Refuse(true);
    rig_.database_line().CutAll();
    published_ += kBacklog;
    rig_.Publish(kBacklog, kRate);
    ASSERT_TRUE(Eventually([&] { return rig_.tap().acknowledged().size() == published_; }));
    EXPECT_TRUE(rig_.SoonNotReady("database retrying"));
    const auto backlog = static_cast<size_t>(rig_.stack().Metric("sluice_spool_backlog_records"));
    ASSERT_GE(backlog, size_t{kBacklog});
    rig_.stack().Kill();
    alive_ = false;
    segments_ = ReadSegments(rig_.stack().spool_dir());
    ASSERT_GE(segments_.size(), 3U);
    committed_ = segments_.back().records.back().seq - backlog;
    log_read_ = rig_.stack().log().size();
    damaged_ = 0;
  }

  // The test is about to destroy these. `counted`: the spool can and must know how many they are.
  void Destroy(const std::vector<SpooledRecord>& records, bool counted) {
    for (const SpooledRecord& record : records) {
      if (record.seq <= committed_) continue;
      destroyed_.insert(record.id);
      if (counted) ++damaged_;
    }
  }

  // Starts the daemon on what is left, and waits until all of it is committed.
  void Recover(Scenario& scenario) {
    rig_.database_line().Refuse(false);
    const auto start = steady_clock::now();
    rig_.stack().Launch();
    ASSERT_TRUE(rig_.SoonReady(kReadyWithin)) << rig_.NotReadyBecause();
    scenario.Recovered(steady_clock::now() - start);
    alive_ = true;
    int health = 0;
    rig_.stack().Http("/health", &health);
    EXPECT_EQ(health, 200);
    ASSERT_TRUE(
        Eventually([&] { return rig_.stack().Metric("sluice_spool_backlog_records") == 0; }));
    EXPECT_EQ(rig_.stack().Metric("sluice_damaged_records_total"), static_cast<double>(damaged_));
    const bool said = NewLog().find("spool_records_damaged") != std::string::npos;
    EXPECT_EQ(said, damaged_ > 0);
    scenario.Repeated();
  }
  // What the daemon has logged since it was killed.
  std::string NewLog() { return rig_.stack().log().substr(log_read_); }

  // Some line of the log since then names both.
  void ExpectLogged(const std::string& event, const std::string& file) {
    std::istringstream lines(NewLog());
    for (std::string line; std::getline(lines, line);) {
      if (line.find(event) != std::string::npos && line.find(file) != std::string::npos) return;
    }
    ADD_FAILURE() << "no " << event << " with " << file << " in\n" << NewLog();
  }

  void JudgeTheRest(Scenario& scenario) {
    Judgement judgement = rig_.Settle();
    EXPECT_EQ(judgement.lost_ids, destroyed_);
    for (const std::string& id : destroyed_) judgement.lost -= judgement.lost_ids.erase(id);
    judgement.example_lost = judgement.lost_ids.empty() ? "" : *judgement.lost_ids.begin();
    scenario.Judged(judgement);
    scenario.Say(std::to_string(destroyed_.size()) + " records destroyed by the test");
  }

  FaultRig rig_{Env{{"SPOOL_SEGMENT_BYTES", "64KiB"},
                    {"SPOOL_MAX_BYTES", "16MiB"},
                    {"MQTT_RECEIVE_MAXIMUM", "100"},
                    {"SPOOL_REDELIVERY_WINDOW", "2000"}}};
  std::vector<SpooledSegment> segments_;
  Ids destroyed_;
  uint64_t committed_ = 0;
  uint64_t damaged_ = 0;
  size_t published_ = 0;
  size_t log_read_ = 0;
  bool alive_ = false;
};

TEST_F(SpoolDamage, ATailCutOffAnywhereTakesOnlyWhatWasCutOff) {
  Scenario scenario("3", "spool: tail segment truncated at a random byte");
  for (int i = 0; i < Repetitions(1, 200); ++i) {
    ASSERT_NO_FATAL_FAILURE(MakeBacklog());
    const SpooledSegment& tail = segments_.back();
    // Every other time within the last record, as a crash would.
    const size_t from = i % 2 == 0 ? tail.records.back().begin : 0;
    const size_t size = from + Below(tail.records.back().end - from);
    std::vector<SpooledRecord> gone = tail.records;
    std::erase_if(gone, [size](const SpooledRecord& record) { return record.end <= size; });
    Destroy(gone, /*counted=*/false);
    ASSERT_EQ(::truncate(tail.path.c_str(), static_cast<off_t>(size)), 0);
    ASSERT_NO_FATAL_FAILURE(Recover(scenario)) << tail.name << " cut to " << size;
  }
  JudgeTheRest(scenario);
}

TEST_F(SpoolDamage, AFlippedBitTakesExactlyItsRecordAndIsCounted) {
  Scenario scenario("3", "spool: one bit flipped in a record");
  for (int i = 0; i < Repetitions(1, 200); ++i) {
    ASSERT_NO_FATAL_FAILURE(MakeBacklog());
    const SpooledSegment& segment = segments_[segments_.size() - 1 - Below(2)];
    const SpooledRecord& record = segment.records[Below(segment.records.size())];
    Destroy({record}, /*counted=*/true);
    std::string bytes = ReadFile(segment.path);
    const size_t at = record.begin + Below(record.end - record.begin);
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << Below(8)));
    WriteFile(segment.path, bytes);
    ASSERT_NO_FATAL_FAILURE(Recover(scenario)) << segment.name << " byte " << at;
    ExpectLogged("spool_records_damaged", segment.name);
  }
  JudgeTheRest(scenario);
}

TEST_F(SpoolDamage, AMissingSegmentIsNamedAndItsRecordsAreCounted) {
  Scenario scenario("3", "spool: a segment is missing");
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    ASSERT_NO_FATAL_FAILURE(MakeBacklog());
    // Not the last one: nothing tells that it ever was. Not one that is committed to its end.
    std::vector<SpooledSegment> open(segments_.begin(), segments_.end() - 1);
    std::erase_if(open, [this](const auto& s) { return s.records.back().seq <= committed_; });
    const SpooledSegment& segment = open[Below(open.size())];
    Destroy(segment.records, /*counted=*/true);
    ASSERT_EQ(::unlink(segment.path.c_str()), 0);
    ASSERT_NO_FATAL_FAILURE(Recover(scenario)) << segment.name;
    // Without the one before it, nothing tells its name, and its neighbour is named.
    const auto at = std::find_if(segments_.begin(), segments_.end(),
                                 [&](const auto& s) { return s.name == segment.name; });
    const bool first = at == segments_.begin();
    const bool named = !first && (at - 1)->records.back().seq + 1 == segment.records.front().seq;
    ExpectLogged("spool_segment_missing", named ? segment.name : (first ? at + 1 : at - 1)->name);
  }
  JudgeTheRest(scenario);
}

// What else may stand where a segment was.
std::string Empty(const std::string&) {
  return "";
}
std::string Zeros(const std::string& bytes) {
  return std::string(bytes.size(), '\0');
}
std::string OfAnotherSpool(const std::string& bytes) {
  SegmentHeader header = *ParseSegmentHeader(bytes.substr(0, kSegmentHeaderSize));
  header.spool = RandomUuid();
  return EncodeSegmentHeader(header) + bytes.substr(kSegmentHeaderSize);
}

using Replacement = std::string (*)(const std::string& bytes);

TEST_F(SpoolDamage, AReplacedSegmentIsSetAsideByNameAndTheOthersAreDelivered) {
  Scenario scenario("3", "spool: a segment is empty, zero-filled or of another spool");
  const std::array<Replacement, 3> replacements = {Empty, Zeros, OfAnotherSpool};
  for (int i = 0; i < Repetitions(1, 60); ++i) {
    ASSERT_NO_FATAL_FAILURE(MakeBacklog());
    const bool last = Below(4) == 0;
    const SpooledSegment& segment = last ? segments_.back() : segments_[Below(segments_.size())];
    // What was last in the log is not known to have been there.
    Destroy(segment.records, /*counted=*/segment.name != segments_.back().name);
    WriteFile(segment.path, replacements[Below(replacements.size())](ReadFile(segment.path)));
    ASSERT_NO_FATAL_FAILURE(Recover(scenario)) << segment.name;
    ExpectLogged("spool_file_set_aside", segment.name);
    EXPECT_TRUE(std::filesystem::exists(segment.path + std::string(kUnreadableSuffix)));
  }
  JudgeTheRest(scenario);
}

TEST_F(SpoolDamage, ADeletedWatermarkCostsNothing) {
  Scenario scenario("3", "spool: the watermark is deleted");
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    ASSERT_NO_FATAL_FAILURE(MakeBacklog());
    const std::string path = rig_.stack().spool_dir() + "/" + std::string(kWatermarkName);
    ASSERT_EQ(::unlink(path.c_str()), 0);
    ASSERT_NO_FATAL_FAILURE(Recover(scenario));
    ExpectLogged("spool_watermark_missing", path);
  }
  JudgeTheRest(scenario);
}

// A database as it was at some time, put back later.
class Backup {
 public:
  explicit Backup(SluiceStack& stack) : stack_(stack) {
    for (const std::string& table : kTables) {
      stack.Sql("CREATE TABLE backup_" + table + " AS SELECT * FROM " + table);
    }
  }
  void Restore() {
    std::string sql = "BEGIN;";
    for (const std::string& table : kTables) {
      sql += "TRUNCATE " + table + "; INSERT INTO " + table + " SELECT * FROM backup_" + table +
             "; DROP TABLE backup_" + table + ";";
    }
    stack_.Sql(sql + "COMMIT");
  }

 private:
  inline static const std::array<std::string, 4> kTables = {
      "telemetry", "quarantine_events", "quarantine_counters_minute", "ingest_ledger"};
  SluiceStack& stack_;
};

TEST(OlderDatabase, IsNoticedAndGetsAgainWhatTheSpoolStillHolds) {
  Scenario scenario("3", "database: restored from an older backup while the daemon is down");
  FaultRig rig;
  for (int i = 0; i < Repetitions(1, 20); ++i) {
    rig.stack().Start();
    rig.Publish(500, kRate);
    ASSERT_TRUE(
        Eventually([&] { return rig.stack().Metric("sluice_spool_backlog_records") == 0; }));
    Backup backup(rig.stack());
    rig.Publish(500, kRate);
    ASSERT_TRUE(
        Eventually([&] { return rig.stack().Metric("sluice_spool_backlog_records") == 0; }));
    // An orderly end every other time; either way the watermark is behind the last commit.
    if (i % 2 == 0) {
      ASSERT_TRUE(rig.stack().Stop().has_value());
    } else {
      std::this_thread::sleep_for(RandomMoment(600, 1200));
      rig.stack().Kill();
    }
    backup.Restore();
    const size_t log_read = rig.stack().log().size();
    const auto start = steady_clock::now();
    rig.stack().Launch();
    ASSERT_TRUE(rig.SoonReady(kReadyWithin)) << rig.NotReadyBecause();
    scenario.Recovered(steady_clock::now() - start);
    EXPECT_THAT(rig.stack().log().substr(log_read), HasSubstr("database_older_than_spool"));
    scenario.Judged(rig.Settle());
    scenario.Repeated();
    ASSERT_TRUE(rig.stack().Stop().has_value());
  }
}

}  // namespace
}  // namespace sluice::testing
