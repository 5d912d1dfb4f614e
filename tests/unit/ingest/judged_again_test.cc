// Messages of the quarantine through the Pipeline: what is known of them besides what is stored.
#include <gtest/gtest.h>

#include "ingest/pipeline.h"
#include "tests/support/ingest_fixture.h"

namespace sluice {
namespace {

// A message as the quarantine keeps it: without its token and without its stamp.
constexpr char kCut[] = R"j({"site_id":"north","provision_token":"(cut)"})j";

class JudgedAgain : public ::testing::Test {
 protected:
  static PipelineOptions Options(IdentityMode mode) {
    return {
        .decode = {.ts_max_age_us = PipelineParts::kDay, .ts_max_ahead_us = PipelineParts::kDay},
        .auth = {.certificates = true, .identity = mode},
        .auto_provision = false};
  }
  std::string Again(const Arrival& arrival, const std::string& payload = kCut) {
    TestChunk chunk;
    chunk.Add(payload);
    Batch batch;
    Pipeline pipeline(parts_.shared, parts_.store);
    pipeline.DecodeAgain(chunk.chunk(), {&arrival, 1}, &batch);
    EXPECT_TRUE(pipeline.Resolve(&batch).ok());
    pipeline.Decide(&batch);
    return Verdict(batch.messages.front());
  }
  static Arrival Genuine(StampMethod method, const char* identity) {
    return {.stamped = Stamped::kGenuine, .claim = StampClaim{method, identity}};
  }

  PipelineParts parts_{Options(IdentityMode::kTopic)};
};

TEST_F(JudgedAgain, GoesByTheHashOfTheTokenThatWasCutOut) {
  EXPECT_EQ(Again({.token = Sha256("tok-apple")}), "accepted");
  EXPECT_EQ(Again({.token = Sha256("tok-pear")}), "TOKEN_INVALID");
  EXPECT_EQ(Again({}), "TOKEN_MISSING");
}

TEST_F(JudgedAgain, GoesByATokenThatStandsInThePayloadStill) {
  EXPECT_EQ(Again({}, kGood), "accepted");
  EXPECT_EQ(Again({}, R"({"site_id":"north","provision_token":"tok-pear"})"), "TOKEN_INVALID");
}

// What stands in a cut token's place is a token like any other when a device sends it.
TEST_F(JudgedAgain, TakesTheMarkOfACutForNoneOnlyThen) {
  TestChunk chunk;
  chunk.Add(kCut);
  EXPECT_EQ(Verdict(parts_.Judge(chunk).messages.front()), "TOKEN_INVALID");
}

TEST_F(JudgedAgain, GoesByTheSizeThatThePayloadHad) {
  parts_.runtime.max_payload_bytes = 100;
  EXPECT_EQ(Again({.token = Sha256("tok-apple"), .payload_size = 100}), "accepted");
  EXPECT_EQ(Again({.token = Sha256("tok-apple"), .payload_size = 101}), "PAYLOAD_TOO_LARGE");
}

TEST_F(JudgedAgain, GoesByWhomTheBrokerKnewEvenWhereTheTopicIsBelieved) {
  Arrival other = Genuine(StampMethod::kToken, "orchard/probe-8");
  other.token = Sha256("tok-apple");
  EXPECT_EQ(Again(other), "IDENTITY_MISMATCH");
  EXPECT_EQ(Again({.stamped = Stamped::kForged, .token = Sha256("tok-apple")}), "IDENTITY_FORGED");
}

TEST(JudgedAgainWithStamps, WantsTheProofThatTheMessageCameWith) {
  PipelineParts parts(
      {.decode = {.ts_max_age_us = PipelineParts::kDay, .ts_max_ahead_us = PipelineParts::kDay},
       .auth = {.certificates = true, .identity = IdentityMode::kStamp},
       .auto_provision = false});
  DeviceRecord certified = GoodDevice();
  certified.token_hash.reset();
  certified.certificates.push_back({.fingerprint = Sha256("certificate"), .until = kReceived + 1});
  parts.store.Add("orchard", "certified", certified);
  const std::string topic = "tenant/orchard/device/certified/telemetry";
  StampClaim claim{StampMethod::kCert, "orchard/certified", Sha256("certificate")};
  const auto again = [&](const Arrival& arrival) {
    TestChunk chunk;
    chunk.Add(R"({"site_id":"north"})", topic);
    Batch batch;
    Pipeline pipeline(parts.shared, parts.store);
    pipeline.DecodeAgain(chunk.chunk(), {&arrival, 1}, &batch);
    EXPECT_TRUE(pipeline.Resolve(&batch).ok());
    pipeline.Decide(&batch);
    return Verdict(batch.messages.front());
  };
  EXPECT_EQ(again({}), "IDENTITY_MISSING");
  EXPECT_EQ(again({.stamped = Stamped::kGenuine, .claim = claim}), "accepted");
  claim.certificate = Sha256("another");
  EXPECT_EQ(again({.stamped = Stamped::kGenuine, .claim = claim}), "TOKEN_NOT_SET_IN_REGISTRY");
}

}  // namespace
}  // namespace sluice
