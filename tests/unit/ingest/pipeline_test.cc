#include "ingest/pipeline.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/support/copy_tuples.h"
#include "tests/support/ingest_fixture.h"
#include "tests/support/temp_dir.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr int64_t kDay = PipelineParts::kDay;

std::vector<std::string> Verdicts(const Batch& batch) {
  std::vector<std::string> verdicts;
  for (const Message& message : batch.messages) verdicts.push_back(Verdict(message));
  return verdicts;
}

std::string Judged(PipelineParts& parts, const std::string& payload,
                   const std::string& topic = kTopic) {
  TestChunk chunk;
  chunk.Add(payload, topic);
  return Verdict(parts.Judge(chunk).messages.front());
}

TEST(Pipeline, AcceptsAGoodMessageAndEncodesItsRow) {
  PipelineParts parts;
  TestChunk chunk;
  chunk.Add(R"({"site_id":"north","seq":4,"ts":1772359224,"metrics":{"heat":21.5},)"
            R"("provision_token":"tok-apple","lat":45.5,"lng":7.25})");
  const Batch batch = parts.Judge(chunk);
  const Message& message = batch.messages.front();
  ASSERT_TRUE(message.accepted()) << Verdict(message);
  EXPECT_EQ(message.rows, 1U);
  EXPECT_EQ(message.event_time, kReceived - 1'000'000);
  EXPECT_EQ(batch.SiteOf(message), "north");
  ASSERT_TRUE(message.location);
  EXPECT_EQ(message.location->latitude, 45.5);
  EXPECT_EQ(message.location->longitude, 7.25);
  const auto tuples = ReadCopyTuples(batch.tuples);
  ASSERT_THAT(tuples, ElementsAre(SizeIs(8)));
  EXPECT_EQ(tuples[0][1], "orchard");
  EXPECT_EQ(tuples[0][2], "probe-7");
  EXPECT_EQ(tuples[0][3], "north");
  EXPECT_EQ(tuples[0][6], "\1{\"heat\":21.5}");
}

TEST(Pipeline, TakesNoPlaceFromABacklogThatLiveTrafficGoesBefore) {
  PipelineParts parts;
  TestChunk chunk;
  chunk.chunk().behind = true;
  chunk.Add(R"({"site_id":"north","provision_token":"tok-apple","lat":45.5,"lng":7.25})");
  const Batch batch = parts.Judge(chunk);
  EXPECT_TRUE(batch.messages.front().accepted());
  EXPECT_FALSE(batch.messages.front().location);
}

// Each fails this check and later ones: the first decides.
TEST(Pipeline, LetsTheFirstFailureDecideWhatTheMessageAloneShows) {
  const std::string big(9000, 'x');
  const std::tuple<const char*, std::string, std::string> cases[] = {
      {"BAD_TOPIC_FORMAT", "tenant/orchard/telemetry", big},
      {"PAYLOAD_TOO_LARGE", kTopic, big},
      {"INVALID_JSON", "tenant/orchard/device/nobody/telemetry", R"({"version":"2",)"},
      {"UNSUPPORTED_ENVELOPE_VERSION", kTopic, R"({"version":"2","tenant_id":"meadow"})"},
      {"TENANT_MISMATCH_TOPIC_VS_PAYLOAD", kTopic, R"({"tenant_id":"meadow","metrics":1})"},
      {"MISSING_SITE_ID", kTopic, R"({"metrics":1,"ts":"yesterday"})"},
      {"METRICS_INVALID", kTopic, R"({"site_id":"south","metrics":1,"ts":"yesterday"})"},
      {"TIMESTAMP_INVALID", "tenant/orchard/device/nobody/telemetry",
       R"({"site_id":"south","ts":"yesterday"})"},
      {"TIMESTAMP_OUT_OF_RANGE", "tenant/orchard/device/nobody/telemetry",
       R"({"site_id":"south","ts":"1999-01-01T00:00:00Z"})"},
  };
  for (const auto& [reason, topic, payload] : cases) {
    PipelineParts parts;
    EXPECT_EQ(Judged(parts, payload, topic), reason);
    EXPECT_THAT(parts.store.lookups, IsEmpty()) << "nobody is asked about a message that fails";
  }
}

TEST(Pipeline, LetsTheFirstFailureDecideWhatTheRegistryShows) {
  DeviceRecord bad = GoodDevice();
  bad.site_id = "south";
  bad.active = false;
  bad.subscription = Subscription::kSuspended;
  bad.token_hash = Sha256("tok-pear");
  PipelineParts parts;
  parts.runtime.rate_limit_burst = 0;
  const auto judged = [&] {
    parts.store.Add("orchard", "probe-7", bad);
    parts.directory.ForgetAll();
    return Judged(parts, kGood);
  };
  EXPECT_EQ(Judged(parts, kGood, "tenant/orchard/device/nobody/telemetry"), "UNREGISTERED_DEVICE");
  EXPECT_EQ(judged(), "SUBSCRIPTION_SUSPENDED");
  bad.subscription = Subscription::kExpired;
  EXPECT_EQ(judged(), "SUBSCRIPTION_EXPIRED");
  bad.subscription = Subscription::kOpen;
  EXPECT_EQ(judged(), "DEVICE_REVOKED");
  bad.active = true;
  EXPECT_EQ(judged(), "SITE_MISMATCH_REGISTRY_VS_PAYLOAD");
  bad.site_id = "north";
  EXPECT_EQ(judged(), "TOKEN_INVALID");
  bad.token_hash = Sha256("tok-apple");
  EXPECT_EQ(judged(), "RATE_LIMITED");
  parts.runtime.rate_limit_burst = 1;
  parts.limiter.ForgetIdle(kReceived + 1);
  EXPECT_EQ(judged(), "accepted");
}

TEST(Pipeline, ParsesNothingThatIsTooLarge) {
  PipelineParts parts;
  parts.runtime.max_payload_bytes = sizeof kGood - 2;
  TestChunk chunk;
  chunk.Add(kGood);
  const Batch batch = parts.Judge(chunk);
  const Message& message = batch.messages.front();
  EXPECT_EQ(Verdict(message), "PAYLOAD_TOO_LARGE");
  EXPECT_FALSE(message.payload_is_json);
  EXPECT_FALSE(message.token);
  EXPECT_THAT(batch.tuples, IsEmpty());
  parts.runtime.max_payload_bytes = sizeof kGood - 1;
  EXPECT_EQ(Judged(parts, kGood), "accepted") << "just the limit is allowed";
}

TEST(Pipeline, KeepsNoViewOfATopicThatDoesNotParse) {
  PipelineParts parts;
  TestChunk chunk;
  chunk.Add(kGood, "tenant/orchard/device/a b/telemetry");
  const Batch batch = parts.Judge(chunk);
  EXPECT_THAT(batch.messages.front().topic.tenant, IsEmpty());
  EXPECT_THAT(batch.messages.front().topic.device, IsEmpty());
}

TEST(Pipeline, ShowsNoTokenInADetail) {
  const std::string token = R"("provision_token":"tok-apple")";
  const std::string payloads[] = {
      "{" + token,
      "{" + token + R"(,"version":"tok-apple"})",
      "{" + token + R"(,"tenant_id":"tok-apple"})",
      "{" + token + R"(,"site_id":5})",
      "{" + token + R"(,"site_id":"north","metrics":"tok-apple"})",
      "{" + token + R"(,"site_id":"north","seq":"tok-apple"})",
      "{" + token + R"(,"site_id":"north","ts":"tok-apple"})",
      "{" + token + R"(,"site_id":"south"})",
      "{" + token + "," + token + "}",
      R"({"site_id":"north","provision_token":"tok-apple-and-more"})",
  };
  PipelineParts parts;
  TestChunk chunk;
  for (const std::string& payload : payloads) chunk.Add(payload);
  const Batch batch = parts.Judge(chunk);
  for (const Message& message : batch.messages) {
    ASSERT_FALSE(message.accepted());
    EXPECT_THAT(message.rejection->detail, Not(HasSubstr("tok-apple"))) << Verdict(message);
  }
}

TEST(Pipeline, KeepsTheTokensDigestOfARejectedMessage) {
  PipelineParts parts;
  TestChunk chunk;
  chunk.Add(R"({"provision_token":"tok-apple"})");
  const Batch batch = parts.Judge(chunk);
  EXPECT_EQ(Verdict(batch.messages.front()), "MISSING_SITE_ID");
  EXPECT_TRUE(batch.messages.front().payload_is_json);
  EXPECT_EQ(batch.messages.front().token, Sha256("tok-apple"));
}

TEST(Pipeline, AsksOnceForAWholeChunkAndOnlyAboutWhatMayStillBeAccepted) {
  PipelineParts parts;
  TestChunk chunk;
  chunk.Add(kGood).Add("junk", "tenant/orchard/device/junk/telemetry").Add(kGood);
  chunk.Add(kGood, "tenant/orchard/device/probe-9/telemetry");
  EXPECT_THAT(Verdicts(parts.Judge(chunk)),
              ElementsAre("accepted", "INVALID_JSON", "accepted", "UNREGISTERED_DEVICE"));
  ASSERT_THAT(parts.store.lookups, SizeIs(1));
  EXPECT_THAT(parts.store.lookups[0],
              ElementsAre(Pair("orchard", "probe-7"), Pair("orchard", "probe-9")));
}

TEST(Pipeline, LeavesTheBatchForAnotherTryWhenTheRegistryDoesNotAnswer) {
  PipelineParts parts;
  TestChunk chunk;
  chunk.Add(kGood).Add("junk");
  Batch batch;
  Pipeline pipeline(parts.shared, parts.store);
  pipeline.Decode(chunk.chunk(), &batch);
  parts.store.FailNext(1);
  const auto failed = pipeline.Resolve(&batch);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().sqlstate, "08006");
  EXPECT_THAT(Verdicts(batch), ElementsAre("accepted", "INVALID_JSON"));
  ASSERT_TRUE(pipeline.Resolve(&batch).ok());
  pipeline.Decide(&batch);
  EXPECT_THAT(Verdicts(batch), ElementsAre("accepted", "INVALID_JSON"));
}

TEST(Pipeline, SpendsTheRateLimitOnceForEachMessageOfAChunk) {
  PipelineParts parts;
  parts.runtime.rate_limit_burst = 2;
  TestChunk chunk;
  chunk.Add(kGood).Add(kGood).Add(kGood);
  chunk.Add(kGood, kTopic, kReceived + 200'000);  // 5 a second
  EXPECT_THAT(Verdicts(parts.Judge(chunk)),
              ElementsAre("accepted", "accepted", "RATE_LIMITED", "accepted"));
}

TEST(Pipeline, LetsNobodySpendADevicesRateByShoutingInItsName) {
  PipelineParts parts;
  parts.runtime.rate_limit_burst = 1;
  TestChunk chunk;
  for (int i = 0; i < 20; ++i) {
    chunk.Add(R"({"site_id":"north","provision_token":"tok-pear"})");
    chunk.Add(R"({"site_id":"south","provision_token":"tok-apple"})");
  }
  chunk.Add(kGood);
  EXPECT_EQ(Verdict(parts.Judge(chunk).messages.back()), "accepted");
}

TEST(Pipeline, NotesEachDayOnceAlsoBefore1970) {
  PipelineParts parts;
  TestChunk chunk;
  chunk.Add(kGood, kTopic, 0).Add(kGood, kTopic, -1).Add(kGood, kTopic, -kDay);
  chunk.Add(kGood, kTopic, -kDay - 1).Add(kGood, kTopic, kDay - 1).Add(kGood, kTopic, kDay);
  EXPECT_THAT(parts.Judge(chunk).AcceptedDays(), ElementsAre(-2, -1, 0, 1));
}

TEST(Pipeline, MakesARowOfEveryReading) {
  PipelineParts parts;
  TestChunk chunk;
  chunk.Add(kGood);
  chunk.Add(R"({"site_id":"north","provision_token":"tok-apple","readings":[)"
            R"({"ts":1772359225,"seq":1,"metrics":{"a":1}},{"ts":1772359226,"seq":2},)"
            R"({"ts":1772359227,"seq":3,"metrics":{"a":3}}]})");
  chunk.Add(kGood);
  const Batch batch = parts.Judge(chunk);
  ASSERT_THAT(Verdicts(batch), ElementsAre("accepted", "accepted", "accepted"));
  const Message& many = batch.messages[1];
  EXPECT_EQ(many.rows, 3U);
  EXPECT_EQ(many.event_time, 1'772'359'225'000'000);
  EXPECT_EQ(batch.SiteOf(many), "north");
  EXPECT_EQ(batch.messages[0].tuples_end, many.tuples_begin);
  EXPECT_EQ(many.tuples_end, batch.messages[2].tuples_begin);
  const auto tuples =
      ReadCopyTuples(batch.tuples.substr(many.tuples_begin, many.tuples_end - many.tuples_begin));
  ASSERT_THAT(tuples, SizeIs(3));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(BigEndian(*tuples[i][5]), static_cast<int64_t>(i) + 1);
}

TEST(Pipeline, CarriesNothingFromOneChunkIntoTheNext) {
  PipelineParts parts;
  Pipeline pipeline(parts.shared, parts.store);
  Batch batch;
  TestChunk first;
  first.Add(kGood).Add("junk");
  TestChunk second;
  second.Add("junk");
  pipeline.Decode(first.chunk(), &batch);
  pipeline.Decode(second.chunk(), &batch);
  EXPECT_EQ(batch.chunk, &second.chunk());
  EXPECT_THAT(Verdicts(batch), ElementsAre("INVALID_JSON"));
  EXPECT_THAT(batch.tuples, IsEmpty());
  EXPECT_THAT(batch.days, IsEmpty());
  EXPECT_FALSE(batch.messages.front().token);
}

TEST(Pipeline, AsksFloodControlWhetherARejectedMessageIsKept) {
  PipelineParts parts({}, {.per_device = 1, .total = 10});
  TestChunk chunk;
  chunk.Add("junk").Add("junk");
  const Batch batch = parts.Judge(chunk);
  EXPECT_TRUE(batch.messages[0].rejection->stored);
  EXPECT_FALSE(batch.messages[1].rejection->stored);
}

TEST(Pipeline, KeepsNoRejectedMessageWhenThatIsSwitchedOff) {
  PipelineParts parts;
  parts.runtime.store_rejects = false;
  TestChunk chunk;
  chunk.Add("junk");
  EXPECT_FALSE(parts.Judge(chunk).messages.front().rejection->stored);
  EXPECT_EQ(parts.flood.withheld(), 0U);
}

// A pipeline that has a key, and stamps made with it. The device has no token and no certificate
// unless a test gives it one.
class Stamped : public ::testing::Test {
 protected:
  static constexpr Sha256Digest kFingerprint = {1, 2, 3};
  static constexpr char kSite[] = R"({"site_id":"north"})";
  static constexpr char kWrongToken[] = R"({"site_id":"north","provision_token":"tok-pear"})";

  explicit Stamped(IdentityMode mode = IdentityMode::kStamp)
      : parts_(
            PipelineOptions{.decode = {.ts_max_age_us = kDay, .ts_max_ahead_us = kDay},
                            .auth = {.require_token = true, .certificates = true, .identity = mode},
                            .auto_provision = true}) {
    DeviceRecord certified = GoodDevice();
    certified.certificates = {{kFingerprint, kReceived + 1}};
    parts_.store.Add("orchard", "certified", certified);
    LoadKeys(std::string(64, 'a'));
  }

  void LoadKeys(const std::string& text) {
    const std::string path = directory_.Path("key");
    testing::WriteFile(path, text);
    chmod(path.c_str(), 0600);
    const Status loaded = parts_.stamp_keys.Load(path);
    EXPECT_TRUE(loaded.ok()) << loaded.message();
  }
  static std::string TopicOf(const std::string& device) {
    return "tenant/orchard/device/" + device + "/telemetry";
  }
  std::string Sign(StampMethod method, const std::string& identity, const std::string& topic,
                   const std::string& payload = kSite) const {
    return *parts_.stamp_keys.keys()->Sign({method, identity, kFingerprint}, topic, payload);
  }
  Message MessageWith(const std::string& stamp, const std::string& topic,
                      const std::string& payload = kSite) {
    chunk_ = TestChunk();
    chunk_.Add(payload, topic, kReceived, stamp);
    return parts_.Judge(chunk_).messages.front();
  }
  std::string With(const std::string& stamp, const std::string& topic,
                   const std::string& payload = kSite) {
    return Verdict(MessageWith(stamp, topic, payload));
  }

  testing::TempDir directory_;
  PipelineParts parts_;
  TestChunk chunk_;
  const std::string topic_ = TopicOf("certified");
  const std::string token_topic_ = kTopic;
};

TEST_F(Stamped, IsAcceptedByCertificateOrByTheTokenOfTheLogin) {
  EXPECT_EQ(With(Sign(StampMethod::kCert, "orchard/certified", topic_), topic_), "accepted");
  EXPECT_EQ(With(Sign(StampMethod::kToken, "orchard/probe-7", token_topic_), token_topic_),
            "accepted");
  EXPECT_EQ(With(Sign(StampMethod::kCert, "orchard/probe-7", token_topic_), token_topic_),
            "TOKEN_MISSING");
}

TEST_F(Stamped, IsSpokenAgainstByAWrongTokenWhereATokenIsTheProof) {
  const auto judged = [&](StampMethod method, const std::string& device) {
    const std::string topic = TopicOf(device);
    return With(Sign(method, "orchard/" + device, topic, kWrongToken), topic, kWrongToken);
  };
  EXPECT_EQ(judged(StampMethod::kToken, "probe-7"), "TOKEN_INVALID");
  EXPECT_EQ(judged(StampMethod::kCert, "probe-7"), "TOKEN_INVALID");
  EXPECT_EQ(judged(StampMethod::kCert, "certified"), "accepted");
}

TEST_F(Stamped, IsMissedWhateverElseTheMessageBrings) {
  EXPECT_EQ(With("", topic_), "IDENTITY_MISSING");
  EXPECT_EQ(With("", token_topic_, kGood), "IDENTITY_MISSING");
}

TEST_F(Stamped, IsForgedWhenNoKeyMadeItForThisMessage) {
  const std::string genuine = Sign(StampMethod::kCert, "orchard/certified", topic_);
  EXPECT_EQ(With(genuine, topic_, R"({"site_id":"north" })"), "IDENTITY_FORGED");
  EXPECT_EQ(With(genuine, topic_ + "/x"), "IDENTITY_FORGED");
  EXPECT_EQ(With(genuine, token_topic_), "IDENTITY_FORGED");
  EXPECT_EQ(With(genuine + " ", topic_), "IDENTITY_FORGED");
  EXPECT_EQ(With("1 cert orchard/certified " + std::string(64, '0'), topic_), "IDENTITY_FORGED");
  EXPECT_EQ(With("no stamp", topic_), "IDENTITY_FORGED");
  LoadKeys(std::string(64, 'b'));
  EXPECT_EQ(With(genuine, topic_), "IDENTITY_FORGED");
}

TEST_F(Stamped, OfAnotherSenderIsAMismatchThatNamesTheSender) {
  const std::tuple<StampMethod, const char*, const char*> cases[] = {
      {StampMethod::kCert, "orchard/probe-7", "orchard/probe-7, by its cert"},
      {StampMethod::kToken, "meadow/certified", "meadow/certified, by its token"},
      {StampMethod::kCert, "orchard/certified2", "orchard/certified2, by its cert"},
      {StampMethod::kAccount, "service_pulse", "service_pulse, by its account"},
  };
  for (const auto& [method, identity, detail] : cases) {
    const Message message = MessageWith(Sign(method, identity, topic_), topic_);
    ASSERT_EQ(Verdict(message), "IDENTITY_MISMATCH") << identity;
    EXPECT_EQ(message.rejection->detail, "the broker knows the sender as " + std::string(detail));
    ASSERT_TRUE(message.claim);
    EXPECT_EQ(message.claim->identity, identity);
  }
}

TEST_F(Stamped, OfADeviceAtAnotherSiteSaysWhereEachHasIt) {
  const Message message = MessageWith("", token_topic_, R"({"site_id":"south"})");
  ASSERT_EQ(Verdict(message), "SITE_MISMATCH_REGISTRY_VS_PAYLOAD");
  EXPECT_EQ(message.rejection->detail, "payload south, registry north");
}

TEST_F(Stamped, IsJudgedAfterTheRegistryAndBeforeTheToken) {
  DeviceRecord revoked = GoodDevice();
  revoked.active = false;
  parts_.store.Add("orchard", "revoked", revoked);
  EXPECT_EQ(With("forged", TopicOf("revoked")), "DEVICE_REVOKED");
  EXPECT_EQ(With("forged", topic_, R"({"site_id":"south"})"), "SITE_MISMATCH_REGISTRY_VS_PAYLOAD");
  EXPECT_EQ(With("forged", token_topic_, kWrongToken), "IDENTITY_FORGED");
}

TEST_F(Stamped, AddsNobodyToTheRegistryUnlessItIsGenuine) {
  parts_.store.room = 5;
  const std::string topic = TopicOf("new-1");
  EXPECT_EQ(With("", topic), "UNREGISTERED_DEVICE");
  EXPECT_EQ(With("forged", topic), "UNREGISTERED_DEVICE");
  EXPECT_EQ(With(Sign(StampMethod::kCert, "orchard/new-2", topic), topic), "UNREGISTERED_DEVICE");
  EXPECT_THAT(parts_.store.provisions, IsEmpty());
  With(Sign(StampMethod::kCert, "orchard/new-1", topic), topic);
  EXPECT_THAT(parts_.store.provisions, ElementsAre(Pair("orchard", "new-1")));
}

TEST_F(Stamped, AcceptsNothingWhileNoKeysAreLoaded) {
  const std::string genuine = Sign(StampMethod::kCert, "orchard/certified", topic_);
  PipelineParts without(parts_.shared.options);
  without.store.Add("orchard", "certified");
  TestChunk chunk;
  chunk.Add(kGood, topic_, kReceived, genuine).Add(kGood, topic_);
  EXPECT_THAT(Verdicts(without.Judge(chunk)), ElementsAre("IDENTITY_FORGED", "IDENTITY_MISSING"));
}

class StampedByTopic : public Stamped {
 protected:
  StampedByTopic() : Stamped(IdentityMode::kTopic) {}
};

TEST_F(StampedByTopic, IsCheckedWhereItComesAndNotMissedWhereItDoesNot) {
  EXPECT_EQ(With("", topic_), "accepted");
  EXPECT_EQ(With("forged", topic_), "IDENTITY_FORGED");
  EXPECT_EQ(With(Sign(StampMethod::kCert, "orchard/probe-7", topic_), topic_), "IDENTITY_MISMATCH");
  EXPECT_EQ(With(Sign(StampMethod::kCert, "orchard/certified", topic_), topic_), "accepted");
}

TEST_F(StampedByTopic, ProvesNoMoreThanTheTopicDoes) {
  EXPECT_EQ(With(Sign(StampMethod::kToken, "orchard/probe-7", token_topic_), token_topic_),
            "TOKEN_MISSING");
  EXPECT_EQ(
      With(Sign(StampMethod::kCert, "orchard/certified", topic_, kWrongToken), topic_, kWrongToken),
      "TOKEN_INVALID");
}

TEST(Pipeline, IgnoresStampsWhileItHasNoKeysAndBelievesTheTopic) {
  PipelineParts parts;
  TestChunk chunk;
  chunk.Add(kGood, kTopic, kReceived, "forged");
  EXPECT_EQ(Verdict(parts.Judge(chunk).messages.front()), "accepted");
}

class AutoProvision : public ::testing::Test {
 protected:
  static constexpr char kFirst[] = "tenant/orchard/device/new-1/telemetry";
  static constexpr char kSecond[] = "tenant/orchard/device/new-2/telemetry";
  static constexpr char kSite[] = R"({"site_id":"north"})";

  PipelineParts parts_{
      PipelineOptions{.decode = {}, .auth = {.require_token = false}, .auto_provision = true}};
};

TEST_F(AutoProvision, GivesThePlaceThatIsLeftToWhoComesFirst) {
  parts_.store.room = 1;
  TestChunk chunk;
  chunk.Add(kSite, kFirst).Add(kSite, kSecond).Add(kSite, kFirst).Add(kSite, kSecond);
  EXPECT_THAT(Verdicts(parts_.Judge(chunk)), ElementsAre("accepted", "NO_SUBSCRIPTION_CAPACITY",
                                                         "accepted", "NO_SUBSCRIPTION_CAPACITY"));
}

TEST_F(AutoProvision, IsNotAskedForAMessageThatFailsEarlier) {
  parts_.store.room = 1;
  TestChunk chunk;
  chunk.Add("junk", kFirst).Add(kSite, kSecond);
  EXPECT_THAT(Verdicts(parts_.Judge(chunk)), ElementsAre("INVALID_JSON", "accepted"));
  EXPECT_THAT(parts_.store.provisions, ElementsAre(Pair("orchard", "new-2")));
}

TEST_F(AutoProvision, GoesOnWhereItWasWhenTheDatabaseWasAway) {
  parts_.store.room = 1;
  TestChunk chunk;
  chunk.Add(kSite, kFirst).Add(kSite, kSecond);
  Batch batch;
  Pipeline pipeline(parts_.shared, parts_.store);
  pipeline.Decode(chunk.chunk(), &batch);
  parts_.store.FailNext(1);
  EXPECT_FALSE(pipeline.Resolve(&batch).ok());
  ASSERT_TRUE(pipeline.Resolve(&batch).ok());
  pipeline.Decide(&batch);
  EXPECT_THAT(Verdicts(batch), ElementsAre("accepted", "NO_SUBSCRIPTION_CAPACITY"));
}

TEST_F(AutoProvision, AddsNobodyWhileItIsSwitchedOff) {
  PipelineParts parts;
  parts.store.room = 1;
  EXPECT_EQ(Judged(parts, kSite, kFirst), "UNREGISTERED_DEVICE");
  EXPECT_THAT(parts.store.provisions, IsEmpty());
}

}  // namespace
}  // namespace sluice
