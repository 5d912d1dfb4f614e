#include "ingest/explanation.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <functional>
#include <map>

#include "tests/support/ingest_fixture.h"
#include "tests/support/temp_dir.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr int64_t kDay = PipelineParts::kDay;

// A message that passes every check, until somebody spoils it.
struct Draft {
  std::string topic = kTopic;
  std::map<std::string, std::string> fields = {
      {"site_id", R"("north")"}, {"metrics", R"({"heat":21.5})"}, {"seq", "4"}};
  std::string tail = "}";
  bool stamped = true;
  bool registered = true;
  DeviceRecord device = GoodDevice();
  std::optional<SubscriptionSeen> subscription = {};
  double burst = 1;

  std::string Payload() const {
    std::string text;
    for (const auto& [name, value] : fields) {
      text += (text.empty() ? "{\"" : ",\"") + name + "\":" + value;
    }
    return text + tail;
  }
};

// One for each check that the Pipeline makes, in the order of AllChecks().
const std::function<void(Draft&)> kSpoil[] = {
    [](Draft& draft) { draft.topic = "tenant/orchard/device/probe-7"; },
    [](Draft& draft) { draft.fields["pad"] = "\"" + std::string(9000, 'x') + "\""; },
    [](Draft& draft) { draft.tail = ",}"; },
    [](Draft& draft) { draft.fields["version"] = "2"; },
    [](Draft& draft) { draft.fields["tenant_id"] = R"("meadow")"; },
    [](Draft& draft) { draft.fields.erase("site_id"); },
    [](Draft& draft) { draft.fields["metrics"] = "1"; },
    [](Draft& draft) { draft.fields["ts"] = R"("yesterday")"; },
    [](Draft& draft) { draft.registered = false; },
    [](Draft& draft) { draft.device.subscription = Subscription::kExpired; },
    [](Draft& draft) { draft.device.active = false; },
    [](Draft& draft) { draft.device.site_id = "south"; },
    [](Draft& draft) { draft.stamped = false; },
    [](Draft& draft) { draft.device.token_hash.reset(); },
    [](Draft& draft) { draft.burst = 0; },
};
constexpr int kPipelineChecks = std::size(kSpoil);

class ExplanationTest : public ::testing::Test {
 protected:
  ExplanationTest() {
    settings_ = *LoadSettings([](const char*) { return nullptr; }, SettingsFor::kTool);
    settings_.identity_mode = IdentityMode::kStamp;
  }

  Explanation Explained(const Draft& draft) {
    PipelineParts parts(PipelineOptions{.decode = {.ts_max_age_us = kDay, .ts_max_ahead_us = kDay},
                                        .auth = {.require_token = settings_.require_token,
                                                 .certificates = settings_.cert_auth_enabled,
                                                 .identity = settings_.identity_mode},
                                        .auto_provision = false});
    LoadKeys(parts);
    parts.runtime.rate_limit_burst = draft.burst;
    parts.store.Remove("orchard", "probe-7");
    if (draft.registered) parts.store.Add("orchard", "probe-7", draft.device);
    const std::string payload = draft.Payload();
    const StampClaim claim{StampMethod::kToken, "orchard/probe-7", {}};
    TestChunk chunk;
    chunk.Add(payload, draft.topic, kReceived,
              draft.stamped ? *parts.stamp_keys.keys()->Sign(claim, draft.topic, payload) : "");
    const Batch batch = parts.Judge(chunk);
    return ExplainMessage(batch, {.settings = settings_,
                                  .limits = parts.runtime,
                                  .payload_size = payload.size(),
                                  .subscription = draft.subscription});
  }
  void LoadKeys(PipelineParts& parts) {
    const std::string path = directory_.Path("key");
    testing::WriteFile(path, std::string(64, 'a'));
    chmod(path.c_str(), 0600);
    ASSERT_TRUE(parts.stamp_keys.Load(path).ok());
  }
  static std::string SawAt(const Explanation& explanation, size_t number) {
    return explanation.checks[number - 1].saw;
  }

  Settings settings_;
  testing::TempDir directory_;
};

// Spoiled at one check and all later ones. This holds schema/checks.h and the Pipeline together.
TEST_F(ExplanationTest, RefusesAtTheFirstCheckThatFailsAndReachesNoneBehindIt) {
  for (int first = 1; first <= kPipelineChecks; ++first) {
    SCOPED_TRACE("check " + std::to_string(first));
    Draft draft;
    for (int i = first; i <= kPipelineChecks; ++i) kSpoil[i - 1](draft);
    const Explanation explanation = Explained(draft);
    ASSERT_TRUE(explanation.reason);
    EXPECT_EQ(CheckOf(*explanation.reason).number, first) << ReasonName(*explanation.reason);
    EXPECT_THAT(explanation.rows, IsEmpty());
    ASSERT_THAT(explanation.checks, SizeIs(kCheckCount));
    for (const CheckSeen& seen : explanation.checks) {
      const int number = seen.check->number;
      EXPECT_EQ(seen.verdict, number < first    ? CheckVerdict::kPassed
                              : number == first ? CheckVerdict::kRefused
                                                : CheckVerdict::kNotReached);
      EXPECT_EQ(seen.saw.empty(), number > first) << number;
    }
  }
}

TEST_F(ExplanationTest, ShowsTheRowsOfWhatPasses) {
  Draft draft;
  draft.fields = {{"site_id", R"("north")"},
                  {"readings", R"([{"seq":1,"ts":"2026-03-01T10:00:00Z"},{"metrics":{"a":1}}])"}};
  const Explanation explanation = Explained(draft);
  EXPECT_FALSE(explanation.reason);
  ASSERT_THAT(explanation.rows, SizeIs(2));
  EXPECT_THAT(explanation.rows[0],
              AllOf(Contains(Pair("time", "2026-03-01T10:00:00.000000Z")),
                    Contains(Pair("tenant_id", "orchard")), Contains(Pair("seq", "1")),
                    Contains(Pair("received_at", "2026-03-01T10:00:25.000000Z"))));
  EXPECT_THAT(explanation.rows[1], Contains(Pair("metrics", R"({"a":1})")));
  EXPECT_EQ(SawAt(explanation, 7), "2 readings");
}

TEST_F(ExplanationTest, SaysWhatIsNotAsked) {
  const auto verdict = [](const Explanation& explanation, size_t number) {
    return explanation.checks[number - 1].verdict;
  };
  EXPECT_EQ(verdict(Explained({}), 15), CheckVerdict::kNotAsked);
  EXPECT_EQ(verdict(Explained({}), 16), CheckVerdict::kNotAsked);
  settings_.identity_mode = IdentityMode::kTopic;
  settings_.require_token = false;
  Draft draft;
  draft.stamped = false;
  EXPECT_EQ(verdict(Explained(draft), 13), CheckVerdict::kNotAsked);
  EXPECT_EQ(verdict(Explained(draft), 14), CheckVerdict::kNotAsked);
  EXPECT_EQ(verdict(Explained({}), 13), CheckVerdict::kPassed) << "a stamp that comes is checked";
}

TEST_F(ExplanationTest, SaysWhatEachCheckSaw) {
  Draft draft;
  draft.fields["device_id"] = R"("probe-7")";
  draft.fields["ts"] = "1772359224";
  draft.device.site_id = "south";
  const Explanation explanation = Explained(draft);
  EXPECT_EQ(SawAt(explanation, 1), "tenant orchard, device probe-7, type telemetry");
  EXPECT_THAT(SawAt(explanation, 2), HasSubstr("bytes, at most 8192"));
  EXPECT_EQ(SawAt(explanation, 3), "an object of 5 keys");
  EXPECT_EQ(SawAt(explanation, 4), "version: none");
  EXPECT_EQ(SawAt(explanation, 5), "device_id probe-7");
  EXPECT_EQ(SawAt(explanation, 7), "1 metric, seq 4");
  EXPECT_EQ(SawAt(explanation, 8),
            "ts 1772359224, read as 2026-03-01T10:00:24.000000Z, arrived "
            "2026-03-01T10:00:25.000000Z");
  EXPECT_EQ(SawAt(explanation, 12), "payload north, registry south");
}

TEST_F(ExplanationTest, NamesTheSubscriptionAndItsStatus) {
  Draft draft;
  EXPECT_EQ(SawAt(Explained(draft), 10), "none");
  draft.subscription = {{.id = "sub-7"}};
  EXPECT_EQ(SawAt(Explained(draft), 10), "sub-7, which is not there");
  draft.subscription = {{.id = "sub-7", .exists = true, .type = "MAIN", .status = "EXPIRED"}};
  draft.device.subscription = Subscription::kExpired;
  const Explanation explanation = Explained(draft);
  EXPECT_EQ(explanation.reason, Reason::kSubscriptionExpired);
  EXPECT_EQ(SawAt(explanation, 10), "sub-7, of type MAIN: EXPIRED");
}

TEST_F(ExplanationTest, ShowsNoTokenWhereverTheDeviceWroteIt) {
  for (const char* field :
       {"version", "tenant_id", "device_id", "site_id", "metrics", "seq", "ts"}) {
    Draft draft;
    draft.fields["provision_token"] = R"("tok-apple")";
    draft.fields[field] = R"("is it tok-apple?")";
    draft.device.token_hash = Sha256("tok-pear");
    const Explanation explanation = Explained(draft);
    EXPECT_TRUE(explanation.reason);
    EXPECT_THAT(explanation.detail, Not(HasSubstr("tok-apple")));
    for (const CheckSeen& seen : explanation.checks) {
      EXPECT_THAT(seen.saw, Not(HasSubstr("tok-apple"))) << seen.check->number;
    }
  }
  Draft draft;
  draft.fields["provision_token"] = R"("tok-apple")";
  draft.fields["metrics"] = R"({"note":"tok-apple"})";
  const Explanation explanation = Explained(draft);
  ASSERT_THAT(explanation.rows, SizeIs(1));
  EXPECT_THAT(explanation.rows[0], Each(Pair(::testing::_, Not(HasSubstr("tok-apple")))));
}

TEST_F(ExplanationTest, CutsAValueThatIsLong) {
  Draft draft;
  draft.fields["ts"] = "\"" + std::string(5000, '9') + "\"";
  EXPECT_LT(SawAt(Explained(draft), 8).size(), 400U);
}

}  // namespace
}  // namespace sluice
