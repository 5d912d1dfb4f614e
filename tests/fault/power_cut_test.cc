// The power fails at a random change of the disk, again and again, and the disk forgets any part of
// what was not synced. In process: the real spool on a disk in memory, a database that keeps what
// it has committed.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/log.h"
#include "ingest/spool/spool.h"
#include "tests/fault/campaign.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace sluice::testing {
namespace {

constexpr int kCutsPerWorld = 20;
constexpr uint64_t kChangesPerLife = 400;

uint64_t Between(uint64_t from, uint64_t to) {
  return std::uniform_int_distribution<uint64_t>(from, to)(Random());
}

// Broker, daemon and database of one machine that keeps losing its power; the database is elsewhere
// and keeps its.
class World {
 public:
  explicit World(SpoolSync sync) {
    options_.directory = "/spool";
    options_.max_bytes = 64 << 10;
    options_.segment_bytes = 1 << 10;
    options_.sync = sync;
    options_.sync_interval = std::chrono::hours(1);  // the test syncs
    options_.redelivery_window = Between(1, 20);
  }

  // Until the power fails and comes back.
  void LiveUntilThePowerFails() {
    disk_->LosePowerAt(Between(1, kChangesPerLife));
    if (!spool_) Start();
    while (!disk_->powerless()) Step();
    spool_.reset();
    disk_ = disk_->AfterPowerCut(Random());
    at_risk_.clear();
  }

  void Settle() {
    do {
      if (!spool_) Start();
      ASSERT_TRUE(spool_) << "it does not start on a disk that works";
      if (spool_->stats().backlog_records > 0) Commit();
    } while (!spool_ || spool_->stats().backlog_records > 0);
  }

  // What was promised and is in no row is lost.
  Judgement Judge() const {
    Judgement judgement;
    judgement.acknowledged = acknowledged_;
    for (const std::string& payload : promised_) {
      if (!rows_.contains(payload)) ++judgement.lost, judgement.example_lost = payload;
    }
    for (const auto& [payload, times] : rows_) {
      EXPECT_TRUE(appended_.contains(payload)) << "nobody sent " << payload;
      if (times > 1) judgement.duplicated += times - 1, judgement.example_duplicated = payload;
    }
    return judgement;
  }
  // Acknowledged, but lost with the interval.
  size_t forgotten() const {
    size_t missing = 0;
    for (const std::string& payload : all_acknowledged_) missing += rows_.contains(payload) ? 0 : 1;
    return missing;
  }

 private:
  void Start() {
    auto opened = Spool::Open(options_, *disk_, clock_);
    if (!opened.ok()) {
      EXPECT_TRUE(disk_->powerless()) << opened.status().message();
      return;
    }
    spool_ = *std::move(opened);
    std::vector<SeqRange> committed;
    for (const auto& [first, last] : ledgers_[spool_->id()]) committed.push_back({first, last});
    spool_->SkipCommitted(committed);
    EXPECT_EQ(spool_->stats().forgotten_held + spool_->stats().forgotten_gone, 0U)
        << "takes its database for an older one";
    spool_->OnReconnect(/*session_present=*/true);
    if (!unacknowledged_.empty()) Append(std::exchange(unacknowledged_, {}), /*duplicate=*/true);
  }

  void Step() {
    if (!spool_) return Start();
    const uint64_t dice = Between(1, 20);
    if (dice <= 12 && !spool_->stats().full) {
      const std::string payload = std::to_string(appended_.size() + 1);
      return Append(payload + std::string(Between(0, 200), '.'), /*duplicate=*/false);
    }
    if (dice <= 16 && spool_->stats().backlog_records > 0) return Commit();
    if (dice == 17 && spool_->Sync().ok()) {
      promised_.insert(at_risk_.begin(), at_risk_.end());
      at_risk_.clear();
    }
    if (dice >= 18) spool_->Maintain();
    if (dice == 20 && !disk_->powerless()) Prune();
  }

  void Append(const std::string& payload, bool duplicate) {
    appended_.insert(payload);
    const SpoolMessage message = {.topic = "tenant/t/device/d/telemetry",
                                  .payload = payload,
                                  .stamp = {},
                                  .received = clock_.Now(),
                                  .duplicate = duplicate};
    if (!spool_->Append({&message, 1}).ok()) {
      unacknowledged_ = payload;
      spool_.reset();  // the daemon stops, and is started again
      return;
    }
    ++acknowledged_;
    all_acknowledged_.insert(payload);
    (options_.sync == SpoolSync::kAlways ? promised_ : at_risk_).insert(payload);
  }

  // One chunk; the process may die before it knows of the commit.
  void Commit() {
    const auto chunk = spool_->NextChunk(Between(1, 20), 1 << 20, std::chrono::milliseconds(0));
    ASSERT_NE(chunk, nullptr);
    for (const SpoolRecord& record : chunk->records) ++rows_[std::string(record.payload)];
    auto& ledger = ledgers_[spool_->id()];
    ASSERT_TRUE(ledger.emplace(chunk->first_seq, chunk->last_seq).second) << chunk->first_seq;
    if (Between(1, 30) == 1) {
      spool_.reset();
    } else {
      spool_->Complete(*chunk);
    }
  }

  // As the housekeeper does.
  void Prune() {
    auto& ledger = ledgers_[spool_->id()];
    const uint64_t gone = std::min(spool_->watermark(), spool_->stats().first_on_disk - 1);
    while (ledger.size() > 1 && ledger.begin()->second <= gone) ledger.erase(ledger.begin());
  }

  FakeClock clock_;
  SpoolOptions options_;
  std::unique_ptr<FakeFileSystem> disk_ = std::make_unique<FakeFileSystem>();
  std::unique_ptr<Spool> spool_;

  std::map<std::string, std::map<uint64_t, uint64_t>> ledgers_;  // spool → first → last
  std::map<std::string, size_t> rows_;
  std::set<std::string> appended_;
  std::set<std::string> promised_;  // must survive every power cut from now on
  std::set<std::string> at_risk_;   // acknowledged since the last sync
  std::set<std::string> all_acknowledged_;
  std::string unacknowledged_;
  size_t acknowledged_ = 0;
};

void CutPowerAgainAndAgain(SpoolSync sync, const std::string& name) {
  ConfigureLog(LogLevel::kError, LogFormat::kText, "sluice");
  Scenario scenario("4", "power cut, unsynced writes forgotten: SPOOL_SYNC=" + name);
  size_t forgotten = 0;
  for (int cuts = 0; cuts < Repetitions(1000, 10000); cuts += kCutsPerWorld) {
    World world(sync);
    for (int i = 0; i < kCutsPerWorld; ++i) {
      world.LiveUntilThePowerFails();
      scenario.Repeated();
    }
    world.Settle();
    scenario.Judged(world.Judge());
    forgotten += world.forgotten();
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_TRUE(sync != SpoolSync::kAlways || forgotten == 0);
  scenario.Say(std::to_string(forgotten) + " acknowledged since the last sync were forgotten");
}

TEST(PowerCut, TakesNothingThatWasAcknowledgedWhenEveryAppendIsSynced) {
  CutPowerAgainAndAgain(SpoolSync::kAlways, "always");
}

TEST(PowerCut, TakesOnlyWhatWasAppendedSinceTheLastSyncOfTheInterval) {
  CutPowerAgainAndAgain(SpoolSync::kInterval, "interval");
}

}  // namespace
}  // namespace sluice::testing
