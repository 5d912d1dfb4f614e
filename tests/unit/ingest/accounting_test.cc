#include "ingest/accounting.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/support/ingest_fixture.h"

namespace sluice {
namespace {

using testing::Contains;
using testing::Key;
using testing::Le;
using testing::SizeIs;

// A chunk's messages with a verdict each; good ones are of a registered device.
Batch BatchOf(const Chunk& chunk, const std::function<bool(const SpoolRecord&)>& good) {
  Batch batch;
  batch.chunk = &chunk;
  for (const SpoolRecord& record : chunk.records) {
    Message& message = batch.messages.emplace_back();
    message.record = &record;
    message.rows = 2;
    ParseTopic(record.topic, &message.topic);
    if (good(record)) {
      message.device = std::make_shared<const DeviceRecord>(GoodDevice());
    } else {
      message.rejection = Rejection{Reason::kInvalidJson, "", false};
    }
  }
  return batch;
}

bool All(const SpoolRecord& /*record*/) {
  return true;
}

TEST(Accounting, CountsAMessageAsSpooledUntilItsChunkIsCommitted) {
  TestSpool spool;
  Accounting accounting(*spool.spool);
  for (const char* payload : {"good", "good", "bad"}) spool.Append(payload);
  accounting.Duplicates(1);
  accounting.Ignored();
  EXPECT_EQ(accounting.Snapshot().Line(),
            "received=4 stored=0 quarantined=0 duplicates=1 spooled=3");
  const auto chunk = spool.Next();
  EXPECT_EQ(accounting.Snapshot().spooled, 3U) << "being worked on is still spooled";
  accounting.Committed(BatchOf(*chunk, [](auto& r) { return r.payload == "good"; }), kReceived);
  const Totals totals = accounting.Snapshot();
  EXPECT_EQ(totals.Line(), "received=4 stored=2 quarantined=1 duplicates=1 spooled=0");
  EXPECT_TRUE(totals.Balances());
  EXPECT_EQ(totals.rows, 4U);
  EXPECT_EQ(totals.ignored, 1U);
  EXPECT_EQ(totals.last_commit, kReceived);
  EXPECT_EQ(totals.by_reason[static_cast<size_t>(Reason::kInvalidJson)], 1U);
}

TEST(Accounting, CountsWhatTheSpoolHeldAtTheStartAsReceived) {
  TestSpool spool;
  for (int i = 0; i < 5; ++i) spool.Append();
  const auto chunk = spool.Next(2);
  spool.spool->Complete(*chunk);
  spool.Reopen();
  Accounting accounting(*spool.spool);
  spool.Append();
  Totals totals = accounting.Snapshot();
  EXPECT_EQ(totals.recovered, 3U);
  EXPECT_EQ(totals.received, 4U);
  EXPECT_EQ(totals.spooled, 4U);
  accounting.Committed(BatchOf(*spool.Next(), All), kReceived);
  totals = accounting.Snapshot();
  EXPECT_EQ(totals.stored, 4U);
  EXPECT_TRUE(totals.Balances());
}

TEST(Accounting, LeavesOutWhatTheLedgerKnewAlready) {
  TestSpool spool;
  for (int i = 0; i < 5; ++i) spool.Append();
  spool.Reopen();
  Accounting accounting(*spool.spool);
  EXPECT_EQ(accounting.Snapshot().received, 5U);
  spool.spool->SkipCommitted({{1, 2}, {7, 9}});
  accounting.Begin();
  const Totals totals = accounting.Snapshot();
  EXPECT_EQ(totals.recovered, 3U);
  EXPECT_EQ(totals.received, 3U);
  EXPECT_TRUE(totals.Balances());
}

TEST(Accounting, CountsRecordsThatCouldNotBeReadBack) {
  TestSpool spool;
  Accounting accounting(*spool.spool);
  for (int i = 0; i < 3; ++i) spool.Append();
  const auto chunk = spool.Next();
  chunk->records.pop_back();
  chunk->damaged = 1;
  accounting.Committed(BatchOf(*chunk, All), kReceived);
  const Totals totals = accounting.Snapshot();
  EXPECT_EQ(totals.Line(), "received=3 stored=2 quarantined=0 duplicates=0 spooled=0 damaged=1");
  EXPECT_TRUE(totals.Balances());
}

TEST(Accounting, SaysSoWhenTheSumsDiffer) {
  Totals totals;
  totals.received = 3;
  totals.stored = 2;
  EXPECT_FALSE(totals.Balances());
}

TEST(Accounting, CountsByTenantOfRegisteredDevicesOnly) {
  TestSpool spool;
  Accounting accounting(*spool.spool);
  spool.Append("good");
  spool.Append("bad");
  spool.Append("good", "tenant/meadow/device/d/telemetry");
  const auto chunk = spool.Next();
  accounting.Committed(BatchOf(*chunk, [](auto& r) { return r.payload == "good"; }), kReceived);
  const auto tenants = accounting.Snapshot().tenants;
  ASSERT_THAT(tenants, SizeIs(3));
  EXPECT_EQ(tenants.at("orchard").accepted, 1U);
  EXPECT_EQ(tenants.at("orchard").rejected, 0U);
  EXPECT_EQ(tenants.at("meadow").accepted, 1U);
  EXPECT_EQ(tenants.at("unknown").rejected, 1U);
}

TEST(Accounting, NamesNoMoreTenantsThanItsBound) {
  TestSpool spool;
  Accounting accounting(*spool.spool);
  constexpr size_t kTenants = Accounting::kMaxTenants + 50;
  for (size_t i = 0; i < kTenants; ++i) {
    spool.Append("good", "tenant/t" + std::to_string(i) + "/device/d/telemetry");
  }
  accounting.Committed(BatchOf(*spool.Next(kTenants), All), kReceived);
  const auto tenants = accounting.Snapshot().tenants;
  EXPECT_THAT(tenants, SizeIs(Le(Accounting::kMaxTenants)));
  ASSERT_THAT(tenants, Contains(Key("unknown")));
  uint64_t accepted = 0;
  for (const auto& [name, counts] : tenants) accepted += counts.accepted;
  EXPECT_EQ(accepted, kTenants);
}

TEST(Accounting, BalancesAtEveryMoment) {
  constexpr uint64_t kMessages = 20'000;
  TestSpool spool;
  Accounting accounting(*spool.spool);
  std::thread appender([&] {
    for (uint64_t i = 0; i < kMessages; ++i) {
      if (i % 7 == 0) accounting.Duplicates(1);
      spool.Append(i % 3 == 0 ? "bad" : "good");
    }
  });
  const auto work = [&] {
    while (const auto chunk = spool.Next(37)) {
      accounting.Committed(BatchOf(*chunk, [](auto& r) { return r.payload == "good"; }), 1);
    }
  };
  std::thread workers[] = {std::thread(work), std::thread(work)};

  uint64_t received = 0;
  uint64_t looks = 0;
  Totals totals;
  do {
    totals = accounting.Snapshot();
    ASSERT_TRUE(totals.Balances()) << totals.Line();
    ASSERT_GE(totals.received, received);
    received = totals.received;
    ++looks;
  } while (totals.stored + totals.quarantined < kMessages);
  spool.spool->Stop();
  appender.join();
  for (std::thread& worker : workers) worker.join();
  EXPECT_GT(looks, 1U);
  EXPECT_EQ(accounting.Snapshot().Line(),
            "received=22858 stored=13333 quarantined=6667 duplicates=2858 spooled=0");
}

}  // namespace
}  // namespace sluice
