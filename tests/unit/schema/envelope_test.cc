// Checks 4 to 8: what a valid document says, and which check fails first.
#include "schema/envelope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "schema/timestamp.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr UnixMicros kReceived = 1'772'359'200'000'000;  // 2026-03-01T10:00:00Z
constexpr int64_t kHour = 3'600'000'000;
constexpr DecodeLimits kLimits{.ts_max_age_us = 24 * kHour, .ts_max_ahead_us = kHour};

class EnvelopeTest : public testing::Test {
 protected:
  bool Decode(std::string_view payload) {
    failure_ = {};
    return decoder_.Decode(payload, "orchard", "probe-7", kReceived, kLimits, &envelope_,
                           &failure_);
  }
  // The envelope that has a site and the fields given, e.g. R"("seq":4)".
  bool DecodeWith(const std::string& fields) {
    return Decode(R"({"site_id":"north",)" + fields + "}");
  }
  // "" when it is accepted, else the reason's name.
  std::string Verdict(std::string_view payload) {
    return Decode(payload) ? "" : std::string(ReasonName(failure_.reason));
  }
  std::string VerdictWith(const std::string& fields) {
    return DecodeWith(fields) ? "" : std::string(ReasonName(failure_.reason));
  }

  EnvelopeDecoder decoder_;
  Envelope envelope_;
  DecodeFailure failure_;
};

using EnvelopeDecoderTest = EnvelopeTest;

std::string MetricsOf(size_t keys) {
  std::string text = "{";
  for (size_t i = 0; i < keys; ++i) {
    text += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":1";
  }
  return text + "}";
}

TEST_F(EnvelopeDecoderTest, ReadsAWholeEnvelope) {
  ASSERT_TRUE(Decode(R"({"site_id": "north", "ts": "2026-03-01T09:59:58.5Z", "seq": 4,
      "metrics": {"heat": 21.5, "on" : true}, "version": "1", "tenant_id": "orchard",
      "device_id": "probe-7", "provision_token": "tok-apple", "lat": 45.5, "lng": -7.25})"));
  EXPECT_EQ(envelope_.site_id, "north");
  EXPECT_EQ(envelope_.provision_token, "tok-apple");
  EXPECT_EQ(envelope_.latitude, 45.5);
  EXPECT_EQ(envelope_.longitude, -7.25);
  ASSERT_EQ(envelope_.readings.size(), 1U);
  EXPECT_EQ(FormatIso8601(envelope_.readings[0].time), "2026-03-01T09:59:58.500000Z");
  EXPECT_EQ(envelope_.readings[0].seq, 4);
  EXPECT_EQ(envelope_.readings[0].metrics, R"({"heat": 21.5, "on" : true})");
  EXPECT_TRUE(decoder_.payload_is_jsonb());
}

TEST_F(EnvelopeDecoderTest, NeedsOnlyASite) {
  ASSERT_TRUE(Decode(R"({"site_id":"north"})"));
  EXPECT_FALSE(envelope_.provision_token);
  EXPECT_FALSE(envelope_.latitude);
  EXPECT_FALSE(envelope_.longitude);
  ASSERT_EQ(envelope_.readings.size(), 1U);
  EXPECT_EQ(envelope_.readings[0].time, kReceived);
  EXPECT_EQ(envelope_.readings[0].seq, 0);
  EXPECT_EQ(envelope_.readings[0].metrics, "{}");
}

TEST_F(EnvelopeDecoderTest, TakesNullForAbsentEverywhereButInTheSite) {
  ASSERT_TRUE(DecodeWith(R"("ts":null,"seq":null,"metrics":null,"version":null,"tenant_id":null,
      "device_id":null,"provision_token":null,"lat":null,"lng":null,"readings":null)"));
  EXPECT_FALSE(envelope_.provision_token);
  EXPECT_FALSE(envelope_.latitude);
  EXPECT_EQ(envelope_.readings[0].metrics, "{}");
  EXPECT_EQ(Verdict(R"({"site_id":null})"), "MISSING_SITE_ID");
}

TEST_F(EnvelopeDecoderTest, ForgetsTheMessageBefore) {
  ASSERT_TRUE(DecodeWith(
      R"("lat":1,"lng":2,"provision_token":"t","readings":[{"seq":1},{"seq":2,"metrics":{"a":1}}])"));
  ASSERT_TRUE(Decode(R"({"site_id":"south"})"));
  EXPECT_EQ(envelope_.site_id, "south");
  EXPECT_FALSE(envelope_.provision_token);
  EXPECT_FALSE(envelope_.latitude);
  ASSERT_EQ(envelope_.readings.size(), 1U);
  EXPECT_EQ(envelope_.readings[0].seq, 0);
  ASSERT_TRUE(DecodeWith(R"("readings":[{},{}])"));
  EXPECT_EQ(envelope_.readings[1].seq, 0);
  EXPECT_EQ(envelope_.readings[1].metrics, "{}");
}

TEST_F(EnvelopeDecoderTest, IgnoresUnknownFields) {
  EXPECT_EQ(VerdictWith(R"("extra":{"deep":[1,2,{"x":null}]},"Ts":"no","metric":5)"), "");
}

TEST_F(EnvelopeDecoderTest, UnescapesStringsAndKeys) {
  ASSERT_TRUE(Decode(
      R"({"\u0073ite_id":"n\u00f6rd\/\ud83d\ude00\"","provision_token":"a\\b","tenant_id":"or\u0063hard"})"));
  EXPECT_EQ(envelope_.site_id, "nörd/😀\"");
  EXPECT_EQ(envelope_.provision_token, "a\\b");
}

TEST_F(EnvelopeDecoderTest, KeepsTheTextOfMetricsAsItWasWritten) {
  for (const char* metrics :
       {"{}", "{ }", "{\"a\" : 1.50}", "{\n\t\"a\\u0062\": [1, {\"x\": {}}],\r\n \"b\": null }"}) {
    ASSERT_TRUE(DecodeWith("\"metrics\": " + std::string(metrics) + "  \n")) << metrics;
    EXPECT_EQ(envelope_.readings[0].metrics, metrics);
    ASSERT_TRUE(DecodeWith("\"metrics\" :" + std::string(metrics) + " , \"seq\":1"));
    EXPECT_EQ(envelope_.readings[0].metrics, metrics);
  }
}

TEST_F(EnvelopeDecoderTest, SupportsVersionOne) {
  EXPECT_EQ(VerdictWith(R"("version":"1")"), "");
  EXPECT_EQ(VerdictWith(R"("version":1)"), "");
  for (const char* version : {R"("2")", "2", R"("")", R"("1.0")", "true", "[]", "{}", "[1]"}) {
    EXPECT_EQ(VerdictWith("\"version\":" + std::string(version)), "UNSUPPORTED_ENVELOPE_VERSION")
        << version;
  }
}

TEST_F(EnvelopeDecoderTest, ComparesTenantAndDeviceWithTheTopic) {
  EXPECT_EQ(VerdictWith(R"("tenant_id":"orchard","device_id":"probe-7")"), "");
  for (const char* other : {R"("meadow")", R"("")", R"("Orchard")", R"("orchard ")", "1", "{}"}) {
    EXPECT_EQ(VerdictWith("\"tenant_id\":" + std::string(other)),
              "TENANT_MISMATCH_TOPIC_VS_PAYLOAD");
    EXPECT_EQ(VerdictWith("\"device_id\":" + std::string(other)),
              "DEVICE_MISMATCH_TOPIC_VS_PAYLOAD");
  }
}

TEST_F(EnvelopeDecoderTest, RefusesASiteThatIsNone) {
  for (const auto& [payload, detail] :
       {std::pair{std::string("{}"), "site_id is missing"},
        std::pair{std::string(R"({"site_id":null})"), "site_id is null"},
        std::pair{std::string(R"({"site_id":5})"), "site_id is not a string"},
        std::pair{std::string(R"({"site_id":""})"), "site_id is empty"},
        std::pair{R"({"site_id":")" + std::string(129, 'x') + "\"}",
                  "site_id is longer than 128 bytes"},
        std::pair{std::string(R"({"site_id":"a\nb"})"), "site_id holds a control character"},
        std::pair{std::string("{\"site_id\":\"\x7f\"}"), "site_id holds a control character"},
        std::pair{std::string("{\"site_id\":\"\xc2\x85\"}"),
                  "site_id holds a control character"}}) {
    EXPECT_EQ(Verdict(payload), "MISSING_SITE_ID") << payload;
    EXPECT_EQ(failure_.detail, detail);
  }
  EXPECT_EQ(Verdict(R"({"site_id":")" + std::string(128, 'x') + "\"}"), "");
  EXPECT_EQ(Verdict("{\"site_id\":\"\xc2\xa0\xc3\x85\"}"), "");
}

TEST_F(EnvelopeDecoderTest, WantsMetricsToBeAnObject) {
  for (const char* metrics : {"[]", "[{}]", "5", "\"{}\"", "true"}) {
    EXPECT_EQ(VerdictWith("\"metrics\":" + std::string(metrics)), "METRICS_INVALID") << metrics;
  }
}

TEST_F(EnvelopeDecoderTest, LimitsTheNumberOfMetrics) {
  EXPECT_EQ(VerdictWith("\"metrics\":" + MetricsOf(50)), "");
  EXPECT_EQ(VerdictWith("\"metrics\":" + MetricsOf(51)), "TOO_MANY_METRICS");
  EXPECT_EQ(failure_.detail, "metrics has 51 keys, at most 50 are allowed");
  EXPECT_EQ(VerdictWith("\"metrics\":{\"nested\":" + MetricsOf(51) + "}"), "");
}

TEST_F(EnvelopeDecoderTest, CountsTheCharactersOfAMetricKeyNotItsBytes) {
  const auto verdict = [this](const std::string& key) {
    return VerdictWith("\"metrics\":{\"a\":1,\"" + key + "\":1}");
  };
  std::string euros;
  std::string escaped;
  for (int i = 0; i < 128; ++i) {
    euros += "€";
    escaped += "\\ud83d\\ude00";
  }
  EXPECT_EQ(verdict(std::string(128, 'k')), "");
  EXPECT_EQ(verdict(euros), "");
  EXPECT_EQ(verdict(escaped), "");
  EXPECT_EQ(verdict(std::string(129, 'k')), "METRIC_KEY_TOO_LONG");
  EXPECT_EQ(failure_.detail, "a key of metrics has 129 characters, at most 128 are allowed");
  EXPECT_EQ(verdict(euros + "€"), "METRIC_KEY_TOO_LONG");
  EXPECT_EQ(verdict(escaped + "x"), "METRIC_KEY_TOO_LONG");
}

TEST_F(EnvelopeDecoderTest, RefusesMetricKeysThatNobodyCanRead) {
  for (const char* key :
       {"", R"(a\tb)", R"(\u001f)", R"(\u007f)", R"(\u0080)", "\xc2\x9f", "\x7f"}) {
    EXPECT_EQ(VerdictWith("\"metrics\":{\"" + std::string(key) + "\":1}"), "METRIC_KEY_INVALID")
        << key;
  }
  EXPECT_EQ(VerdictWith("\"metrics\":{\"\xc2\xa0\":1,\" \":2,\"é\":3}"), "");
}

TEST_F(EnvelopeDecoderTest, RefusesATokenInsideOfMetricsAtAnyDepth) {
  for (const char* metrics :
       {R"({"provision_token":"s3cret"})", R"({"Provision_Token":"s3cret"})",
        R"({"provision\u005ftoken":"s3cret"})", R"({"a":[{"provision_token":"s3cret"}]})"}) {
    EXPECT_EQ(VerdictWith("\"metrics\":" + std::string(metrics)), "METRIC_KEY_INVALID") << metrics;
    EXPECT_THAT(failure_.detail, Not(HasSubstr("s3cret")));
  }
  EXPECT_EQ(VerdictWith(R"("provision_token":"s","metrics":{"token":"provision_token"})"), "");
}

TEST_F(EnvelopeDecoderTest, AllowsAnyValueOfAMetric) {
  EXPECT_EQ(VerdictWith(R"("metrics":{"a":null,"b":"text","c":[1,[2]],"d":{"e":{}},"f":1e-300})"),
            "");
}

TEST_F(EnvelopeDecoderTest, WantsSeqToBeAnIntegerOf64Bits) {
  for (const auto& [text, seq] :
       {std::pair{"0", int64_t{0}}, std::pair{"-1", int64_t{-1}}, std::pair{"-0", int64_t{0}},
        std::pair{"9223372036854775807", INT64_MAX},
        std::pair{"-9223372036854775808", INT64_MIN}}) {
    ASSERT_TRUE(DecodeWith("\"seq\":" + std::string(text))) << text;
    EXPECT_EQ(envelope_.readings[0].seq, seq);
  }
  for (const char* text : {"1.0", "1e3", "9223372036854775808", "-9223372036854775809",
                           "18446744073709551616", "\"4\"", "\"abc\"", "true", "[]", "{}"}) {
    EXPECT_EQ(VerdictWith("\"seq\":" + std::string(text)), "SEQ_INVALID") << text;
  }
}

TEST_F(EnvelopeDecoderTest, ReadsTimestampsOfBothTypes) {
  for (const char* ts : {"\"2026-03-01T09:00:00Z\"", "\"2026-03-01T10:00:00+01:00\"", "1772355600",
                         "1772355600000", "1772355600000000", "1772355600000000000", "1772355600.0",
                         "1.7723556e9", "\"2026-03-01T09\\u003a00:00\""}) {
    ASSERT_TRUE(DecodeWith("\"ts\":" + std::string(ts))) << ts << failure_.detail;
    EXPECT_EQ(envelope_.readings[0].time, kReceived - kHour) << ts;
  }
}

TEST_F(EnvelopeDecoderTest, RefusesTimestampsThatAreNone) {
  for (const char* ts : {"\"not-a-date\"", "\"\"", "true", "[]", "{}", "\"1772355600\"", "1e300"}) {
    EXPECT_EQ(VerdictWith("\"ts\":" + std::string(ts)), "TIMESTAMP_INVALID") << ts;
    EXPECT_THAT(failure_.detail, Not(HasSubstr("not-a-date")));
  }
}

TEST_F(EnvelopeDecoderTest, LimitsTheAgeAndTheFutureOfATimestamp) {
  EXPECT_EQ(VerdictWith(R"("ts":"2026-02-28T10:00:00Z")"), "");
  EXPECT_EQ(VerdictWith(R"("ts":"2026-02-28T09:59:59.999999Z")"), "TIMESTAMP_OUT_OF_RANGE");
  EXPECT_EQ(failure_.detail, "ts is 86400.000001 s old, at most 86400.000000 s are allowed");
  EXPECT_EQ(VerdictWith(R"("ts":"2026-03-01T11:00:00Z")"), "");
  EXPECT_EQ(VerdictWith(R"("ts":"2026-03-01T11:00:00.000001Z")"), "TIMESTAMP_OUT_OF_RANGE");
  EXPECT_EQ(failure_.detail, "ts is 3600.000001 s ahead, at most 3600.000000 s are allowed");
  EXPECT_EQ(VerdictWith(R"("ts":0)"), "TIMESTAMP_OUT_OF_RANGE");
  EXPECT_EQ(VerdictWith(R"("ts":"9999-12-31")"), "TIMESTAMP_OUT_OF_RANGE");
}

TEST_F(EnvelopeDecoderTest, TakesALocationOnlyWhole) {
  const auto located = [this](const std::string& fields) {
    EXPECT_EQ(VerdictWith(fields), "") << fields;
    EXPECT_EQ(envelope_.latitude.has_value(), envelope_.longitude.has_value());
    return envelope_.latitude.has_value();
  };
  EXPECT_TRUE(located(R"("latitude":90,"longitude":-180)"));
  EXPECT_EQ(envelope_.latitude, 90);
  EXPECT_EQ(envelope_.longitude, -180);
  EXPECT_TRUE(located(R"("lat":1,"latitude":2,"longitude":3)"));
  EXPECT_EQ(envelope_.latitude, 1);
  EXPECT_TRUE(located(R"("lat":null,"latitude":2,"lng":3)"));
  EXPECT_EQ(envelope_.latitude, 2);
  for (const char* fields :
       {R"("lat":1)", R"("lng":1)", R"("lat":"1","lng":1)", R"("lat":90.1,"lng":1)",
        R"("lat":1,"lng":180.1)", R"("lat":1,"lng":-1e300)", R"("lat":true,"lng":1)",
        R"("lat":123.0,"lng":999.0)", R"("lat":[1],"lng":1)"}) {
    EXPECT_FALSE(located(fields)) << fields;
  }
}

TEST_F(EnvelopeDecoderTest, TakesOnlyAStringForAToken) {
  EXPECT_EQ(VerdictWith(R"("provision_token":"")"), "");
  EXPECT_EQ(envelope_.provision_token, "");
  for (const char* token : {"5", "true", "[\"t\"]", "{\"t\":1}"}) {
    EXPECT_EQ(VerdictWith("\"provision_token\":" + std::string(token)), "");
    EXPECT_FALSE(envelope_.provision_token) << token;
  }
}

TEST_F(EnvelopeDecoderTest, ShowsTheTokenOfARefusedDocumentIfItIsValid) {
  EXPECT_EQ(Verdict(R"({"provision_token":"tok","version":"2"})"), "UNSUPPORTED_ENVELOPE_VERSION");
  EXPECT_EQ(decoder_.provision_token(), "tok");
  EXPECT_TRUE(decoder_.payload_is_jsonb());
  EXPECT_EQ(Verdict(R"({"provision_token":"tok",})"), "INVALID_JSON");
  EXPECT_FALSE(decoder_.provision_token());
  EXPECT_FALSE(decoder_.payload_is_jsonb());
}

TEST_F(EnvelopeDecoderTest, ReadsManyReadingsAndFallsBackToTheEnvelopesTsAndSeq) {
  ASSERT_TRUE(DecodeWith(R"("ts":"2026-03-01T09:00:00Z","seq":7,"readings":[
      {"ts":"2026-03-01T08:00:00Z","seq":1,"metrics":{"a":1}},
      {"metrics":{"a":2},"other":{"metrics":5}},
      {"ts":null,"seq":null,"metrics":null},
      {}])"));
  ASSERT_EQ(envelope_.readings.size(), 4U);
  EXPECT_EQ(envelope_.readings[0].time, kReceived - 2 * kHour);
  EXPECT_EQ(envelope_.readings[0].seq, 1);
  EXPECT_EQ(envelope_.readings[0].metrics, R"({"a":1})");
  EXPECT_EQ(envelope_.readings[1].time, kReceived - kHour);
  EXPECT_EQ(envelope_.readings[1].seq, 7);
  EXPECT_EQ(envelope_.readings[1].metrics, R"({"a":2})");
  EXPECT_EQ(envelope_.readings[2].time, kReceived - kHour);
  EXPECT_EQ(envelope_.readings[2].seq, 7);
  EXPECT_EQ(envelope_.readings[2].metrics, "{}");
  EXPECT_EQ(envelope_.readings[3].metrics, "{}");
}

TEST_F(EnvelopeDecoderTest, FallsBackToTheReceiveTimeWhenNobodyHasATs) {
  ASSERT_TRUE(DecodeWith(R"("readings":[{"metrics":{}},{"ts":"2026-03-01T09:00:00Z"}])"));
  EXPECT_EQ(envelope_.readings[0].time, kReceived);
  EXPECT_EQ(envelope_.readings[1].time, kReceived - kHour);
}

TEST_F(EnvelopeDecoderTest, RefusesReadingsOfTheWrongShape) {
  for (const char* fields :
       {R"("readings":[])", R"("readings":{})", R"("readings":5)", R"("readings":"x")",
        R"("readings":[5])", R"("readings":[null])", R"("readings":[{},[]])",
        R"("readings":[{"metrics":[]}])", R"("metrics":{},"readings":[{}])"}) {
    EXPECT_EQ(VerdictWith(fields), "METRICS_INVALID") << fields;
  }
  EXPECT_EQ(VerdictWith(R"("metrics":null,"readings":[{}])"), "");
}

TEST_F(EnvelopeDecoderTest, LimitsTheNumberOfReadings) {
  std::string readings = "{}";
  for (size_t i = 1; i < kMaxReadings; ++i) readings += ",{\"seq\":1}";
  EXPECT_EQ(VerdictWith("\"readings\":[" + readings + "]"), "");
  EXPECT_EQ(envelope_.readings.size(), kMaxReadings);
  EXPECT_EQ(VerdictWith("\"readings\":[" + readings + ",{}]"), "METRICS_INVALID");
  EXPECT_EQ(failure_.detail, "readings has 1001 elements, at most 1000 are allowed");
  EXPECT_EQ(VerdictWith("\"readings\":[" + readings + ",{},{}]"), "METRICS_INVALID");
  EXPECT_EQ(VerdictWith("\"readings\":[" + readings + ",{\"a\":1,\"a\":1}]"), "INVALID_JSON");
}

TEST_F(EnvelopeDecoderTest, JudgesEachReadingAndSaysWhich) {
  for (const auto& [reading, reason] :
       {std::pair{"{\"metrics\":" + MetricsOf(51) + "}", "TOO_MANY_METRICS"},
        std::pair{"{\"metrics\":{\"" + std::string(129, 'k') + "\":1}}", "METRIC_KEY_TOO_LONG"},
        std::pair{std::string(R"({"metrics":{"":1}})"), "METRIC_KEY_INVALID"},
        std::pair{std::string(R"({"metrics":{"provision_token":1}})"), "METRIC_KEY_INVALID"},
        std::pair{std::string(R"({"seq":"4"})"), "SEQ_INVALID"},
        std::pair{std::string(R"({"ts":"never"})"), "TIMESTAMP_INVALID"},
        std::pair{std::string(R"({"ts":0})"), "TIMESTAMP_OUT_OF_RANGE"}}) {
    EXPECT_EQ(VerdictWith("\"readings\":[{},{\"seq\":1}," + reading + ",{}]"), reason) << reading;
    EXPECT_THAT(failure_.detail, testing::StartsWith("readings[2]: "));
  }
}

TEST_F(EnvelopeDecoderTest, JudgesTheEnvelopesOwnTsAndSeqBesideReadingsToo) {
  const std::string readings = R"(,"readings":[{"ts":"2026-03-01T09:00:00Z","seq":1}])";
  EXPECT_EQ(VerdictWith(R"("seq":"x")" + readings), "SEQ_INVALID");
  EXPECT_EQ(VerdictWith(R"("ts":"x")" + readings), "TIMESTAMP_INVALID");
  EXPECT_EQ(VerdictWith(R"("ts":0)" + readings), "TIMESTAMP_OUT_OF_RANGE");
}

// Each payload fails its own check and every later one.
TEST_F(EnvelopeDecoderTest, TheFirstCheckThatFailsWinsWhateverTheOrderOfFields) {
  const std::pair<std::string, const char*> failing[] = {
      {R"("x":1,"x":1)", "INVALID_JSON"},
      {R"("version":2)", "UNSUPPORTED_ENVELOPE_VERSION"},
      {R"("tenant_id":"x")", "TENANT_MISMATCH_TOPIC_VS_PAYLOAD"},
      {R"("device_id":"x")", "DEVICE_MISMATCH_TOPIC_VS_PAYLOAD"},
      {R"("site_id":"")", "MISSING_SITE_ID"},
      {R"("metrics":{"":1})", "METRIC_KEY_INVALID"},
      {R"("seq":"x")", "SEQ_INVALID"},
      {R"("ts":"x")", "TIMESTAMP_INVALID"},
  };
  const auto verdict = [this](const std::string& fields, bool with_site) {
    return with_site ? VerdictWith(fields) : Verdict("{" + fields + "}");
  };
  std::string forward = R"("last":1)";
  std::string backward = R"("first":1)";
  for (size_t i = std::size(failing); i-- > 0;) {
    const auto& [field, reason] = failing[i];
    forward.insert(0, ",").insert(0, field);
    backward.append(",").append(field);
    EXPECT_EQ(verdict(forward, i > 4), reason);
    EXPECT_EQ(verdict(backward, i > 4), reason);
  }
}

TEST_F(EnvelopeDecoderTest, OrdersTheChecksOfMetrics) {
  const std::string long_key = "\"" + std::string(129, 'k') + "\":1";
  std::string many = MetricsOf(50);
  many.pop_back();
  EXPECT_EQ(VerdictWith("\"metrics\":" + many + "," + long_key + "}"), "TOO_MANY_METRICS");
  EXPECT_EQ(VerdictWith("\"metrics\":{\"\":1," + long_key + "}"), "METRIC_KEY_TOO_LONG");
}

TEST_F(EnvelopeDecoderTest, CanBeMoved) {
  ASSERT_TRUE(Decode(R"({"site_id":"north","provision_token":"t"})"));
  EnvelopeDecoder moved = std::move(decoder_);
  EXPECT_EQ(moved.provision_token(), "t");
  decoder_ = std::move(moved);
  EXPECT_EQ(Verdict(R"({"site_id":"north"})"), "");
}

}  // namespace
}  // namespace sluice
