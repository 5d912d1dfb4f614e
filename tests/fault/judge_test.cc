// The judge is no use if it cannot say guilty.
#include "tests/fault/judge.h"

#include <gtest/gtest.h>

#include "tests/fault/fault_rig.h"

namespace sluice::testing {
namespace {

class JudgeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    rig_.stack().Start();
    rig_.Publish(200, 2000);
    const Judgement fair = rig_.Settle();
    ASSERT_EQ(fair.acknowledged, 200U);
    ASSERT_EQ(fair.lost + fair.duplicated + fair.wrongly_accepted, 0U);
  }

  FaultRig rig_;
};

TEST_F(JudgeTest, FindsALostRow) {
  rig_.stack().Sql(
      "DELETE FROM telemetry WHERE (tenant_id, device_id, seq) = "
      "(SELECT tenant_id, device_id, seq FROM telemetry LIMIT 1)");
  EXPECT_EQ(rig_.Verdict().lost, 1U);
}

TEST_F(JudgeTest, FindsALostQuarantineEntry) {
  rig_.stack().Sql(
      "DELETE FROM quarantine_events WHERE id = "
      "(SELECT min(id) FROM quarantine_events)");
  EXPECT_EQ(rig_.Verdict().lost, 1U);
}

TEST_F(JudgeTest, FindsARowThatStandsTwice) {
  rig_.stack().Sql("INSERT INTO telemetry SELECT * FROM telemetry LIMIT 3");
  EXPECT_EQ(rig_.Verdict().duplicated, 3U);
}

TEST_F(JudgeTest, FindsAMessageThatIsStoredAndQuarantined) {
  rig_.stack().Sql(
      "INSERT INTO telemetry (time, tenant_id, device_id, site_id, seq) SELECT now(), tenant_id, "
      "device_id, 'x', (payload->>'seq')::bigint FROM quarantine_events LIMIT 1");
  const Judgement judgement = rig_.Verdict();
  EXPECT_EQ(judgement.duplicated, 1U);
  EXPECT_EQ(judgement.wrongly_accepted, 1U);
}

TEST_F(JudgeTest, ReadsEveryAcknowledgementOfTheDaemonOffTheWire) {
  EXPECT_EQ(rig_.tap().acknowledgements(), 200U);
  EXPECT_EQ(rig_.tap().acknowledged().size(), 200U);
  EXPECT_EQ(rig_.tap().delivered().size(), 200U);
}

}  // namespace
}  // namespace sluice::testing
