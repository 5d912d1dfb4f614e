#include "quarantine/quarantine_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/escape.h"
#include "tests/support/copy_tuples.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr UnixMicros kReceived = 1'772'359'225'123'456;  // 2026-03-01 10:00:25.123456 UTC
constexpr UnixMicros kMinuteOfReceived = 1'772'359'200'000'000;
constexpr UnixMicros kYear2000 = 946'684'800'000'000;

class QuarantineBatchTest : public testing::Test {
 protected:
  QuarantineBatchTest() {
    entry_.topic = "tenant/orchard/device/probe-7/telemetry";
    entry_.tenant = "orchard";
    entry_.device = "probe-7";
    entry_.msg_type = "telemetry";
    entry_.site_id = "north";
    entry_.payload = R"({"site_id":"north"})";
    entry_.payload_is_json = true;
    entry_.reason = Reason::kRateLimited;
    entry_.detail = "too much";
    entry_.token = Sha256("tok-apple");
    entry_.event_time = kReceived - 1;
    entry_.received = kReceived;
    entry_.seq = 77;
  }

  // The one tuple there is.
  CopyTuple Tuple() const {
    const auto tuples = ReadCopyTuples(batch_.tuples());
    EXPECT_THAT(tuples, SizeIs(1));
    return tuples.empty() ? CopyTuple(18) : tuples.front();
  }
  // Its field by the column's name.
  std::optional<std::string> Field(const std::string& name) const {
    std::string_view rest = QuarantineBatch::kColumns;
    const CopyTuple tuple = Tuple();
    for (const auto& field : tuple) {
      const std::string_view column = rest.substr(0, rest.find(", "));
      if (column == name) return field;
      rest.remove_prefix(std::min(rest.size(), column.size() + 2));
    }
    ADD_FAILURE() << "no column " << name;
    return std::nullopt;
  }

  const std::string spool_id_ = "0123456789abcdef";
  QuarantineBatch batch_{spool_id_, 64};
  QuarantineEntry entry_;
};

TEST_F(QuarantineBatchTest, WritesEveryColumn) {
  batch_.Add(entry_, true);
  ASSERT_THAT(Tuple(), SizeIs(18));
  EXPECT_EQ(BigEndian(*Field("event_ts")), kReceived - 1 - kYear2000);
  EXPECT_EQ(Field("topic"), "tenant/orchard/device/probe-7/telemetry");
  EXPECT_EQ(Field("tenant_id"), "orchard");
  EXPECT_EQ(Field("site_id"), "north");
  EXPECT_EQ(Field("device_id"), "probe-7");
  EXPECT_EQ(Field("msg_type"), "telemetry");
  EXPECT_EQ(Field("reason"), "RATE_LIMITED");
  EXPECT_EQ(Field("payload"), "\1{\"site_id\":\"north\"}");
  EXPECT_EQ(BigEndian(*Field("received_at")), kReceived - kYear2000);
  EXPECT_EQ(Field("detail"), "too much");
  EXPECT_EQ(Field("payload_bytes"), R"({"site_id":"north"})");
  EXPECT_EQ(BigEndian(*Field("payload_size")), 19);
  EXPECT_EQ(Field("payload_truncated"), std::string(1, '\0'));
  EXPECT_EQ(Field("identity"), std::nullopt);
  EXPECT_EQ(Field("identity_proof"), std::nullopt);
  EXPECT_EQ(Field("token_hash"), DigestToHex(Sha256("tok-apple")));
  EXPECT_EQ(Field("spool_id"), spool_id_);
  EXPECT_EQ(BigEndian(*Field("spool_seq")), 77);
}

TEST_F(QuarantineBatchTest, WritesNullForWhatTheMessageDidNotSay) {
  QuarantineEntry bare;
  bare.topic = "junk";
  bare.received = kReceived;
  batch_.Add(bare, true);
  for (const char* column : {"event_ts", "tenant_id", "site_id", "device_id", "msg_type", "detail",
                             "identity", "token_hash"}) {
    EXPECT_EQ(Field(column), std::nullopt) << column;
  }
  EXPECT_EQ(Field("topic"), "junk");
  EXPECT_EQ(Field("payload"), "\1null");
  EXPECT_EQ(Field("payload_bytes"), "");
}

TEST_F(QuarantineBatchTest, KeepsTheIdentityAndItsProofWhenThereIsOne) {
  entry_.identity = "orchard/probe-8";
  entry_.identity_proof = "token";
  batch_.Add(entry_, true);
  EXPECT_EQ(Field("identity_proof"), "token");
  EXPECT_EQ(Field("identity"), "orchard/probe-8");
}

TEST_F(QuarantineBatchTest, CutsTheTokenOutOfBothCopiesAndSaysHowBigThePayloadWas) {
  entry_.payload = R"({"provision_token":"tok-apple"})";
  batch_.Add(entry_, true);
  EXPECT_EQ(Field("payload"), "\1{\"provision_token\":\"(cut)\"}");
  EXPECT_EQ(Field("payload_bytes"), R"j({"provision_token":"(cut)"})j");
  EXPECT_EQ(BigEndian(*Field("payload_size")), static_cast<int64_t>(entry_.payload.size()));
  EXPECT_THAT(batch_.tuples(), Not(HasSubstr("tok-apple")));
}

TEST_F(QuarantineBatchTest, CutsTheTokenOutOfWhatIsNoJsonToo) {
  entry_.payload = "provision_token=tok-apple&\xff";
  entry_.payload_is_json = false;
  batch_.Add(entry_, true);
  EXPECT_THAT(batch_.tuples(), Not(HasSubstr("tok-apple")));
  EXPECT_EQ(Field("payload"), "\1null");
  EXPECT_THAT(*Field("payload_bytes"), testing::EndsWith("&\xff"));
}

TEST_F(QuarantineBatchTest, CutsTheTokenBeforeItCutsTheLength) {
  const std::string payload =
      R"({"x":")" + std::string(30, 'x') + R"(","provision_token":"tok-)" + std::string(90, 'y');
  entry_.payload = payload;
  batch_.Add(entry_, true);
  EXPECT_THAT(batch_.tuples(), Not(HasSubstr("tok-")));
}

TEST_F(QuarantineBatchTest, KeepsTheBeginningOfALongPayloadAndNoJson) {
  const std::string payload = R"({"x":")" + std::string(100, 'x') + R"("})";
  entry_.payload = payload;
  batch_.Add(entry_, true);
  EXPECT_EQ(Field("payload"), "\1null") << "half a document is none";
  EXPECT_EQ(Field("payload_bytes"), payload.substr(0, 64));
  EXPECT_EQ(BigEndian(*Field("payload_size")), 108);
  EXPECT_EQ(Field("payload_truncated"), std::string(1, '\1'));
}

TEST_F(QuarantineBatchTest, KeepsAPayloadOfJustTheLimitWhole) {
  const std::string payload = R"({"x":")" + std::string(56, 'x') + R"("})";
  ASSERT_EQ(payload.size(), 64U);
  entry_.payload = payload;
  batch_.Add(entry_, true);
  EXPECT_EQ(Field("payload"), "\1" + payload);
  EXPECT_EQ(Field("payload_truncated"), std::string(1, '\0'));
}

TEST_F(QuarantineBatchTest, EscapesTextThatPostgresWouldRefuse) {
  entry_.topic = "tenant/\xff/device";
  entry_.detail = std::string_view("a\0b", 3);
  entry_.site_id =
      "s\xc3\xbc"
      "d";
  batch_.Add(entry_, true);
  EXPECT_EQ(Field("topic"), "tenant/\\ufffd/device");
  EXPECT_EQ(Field("detail"), "a\\u0000b");
  EXPECT_EQ(Field("site_id"),
            "s\xc3\xbc"
            "d");
}

TEST_F(QuarantineBatchTest, CountsEveryMessageAndKeepsOnlyThoseItIsTold) {
  batch_.Add(entry_, true);
  batch_.Add(entry_, false);
  batch_.Add(entry_, false);
  entry_.reason = Reason::kTokenInvalid;
  batch_.Add(entry_, false);
  entry_.tenant = "";
  batch_.Add(entry_, false);
  entry_.received += 60'000'000;
  batch_.Add(entry_, true);
  EXPECT_THAT(ReadCopyTuples(batch_.tuples()), SizeIs(2));
  const UnixMicros next = kMinuteOfReceived + 60'000'000;
  using Count = QuarantineBatch::Count;
  EXPECT_THAT(
      batch_.counters(),
      UnorderedElementsAre(
          Pair(std::tuple(kMinuteOfReceived, "orchard", Reason::kRateLimited), Count{3, 2}),
          Pair(std::tuple(kMinuteOfReceived, "orchard", Reason::kTokenInvalid), Count{1, 1}),
          Pair(std::tuple(kMinuteOfReceived, "", Reason::kTokenInvalid), Count{1, 1}),
          Pair(std::tuple(next, "", Reason::kTokenInvalid), Count{1, 0})));
}

TEST_F(QuarantineBatchTest, IsEmptyAfterClear) {
  batch_.Add(entry_, true);
  batch_.Clear();
  EXPECT_THAT(batch_.tuples(), IsEmpty());
  EXPECT_THAT(batch_.counters(), IsEmpty());
}

}  // namespace
}  // namespace sluice
