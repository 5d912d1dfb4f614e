#include "ingest/telemetry_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/escape.h"
#include "base/pg_copy.h"
#include "ingest/database_writer.h"
#include "ingest/final_sql.h"
#include "tests/support/copy_tuples.h"
#include "tests/support/ingest_fixture.h"

namespace sluice {
namespace {

using testing::SizeIs;

// The bytes of one field, in hex.
template <typename Write>
std::string Field(Write write) {
  std::string bytes;
  CopyEncoder copy(&bytes);
  write(copy);
  return ToHex(bytes);
}

TEST(CopyEncoder, WritesTheFormatsHeaderAndTrailer) {
  EXPECT_EQ(ToHex(kCopyHeader), "5047434f50590aff0d0a000000000000000000");
  EXPECT_EQ(ToHex(kCopyTrailer), "ffff");
}

TEST(CopyEncoder, WritesEveryTypeAsPostgresReadsIt) {
  using Copy = CopyEncoder;
  EXPECT_EQ(Field([](Copy& c) { c.Tuple(17); }), "0011");
  EXPECT_EQ(Field([](Copy& c) { c.Null(); }), "ffffffff");
  EXPECT_EQ(Field([](Copy& c) { c.Text("ab"); }), "000000026162");
  EXPECT_EQ(Field([](Copy& c) { c.Text(""); }), "00000000") << "empty is not NULL";
  EXPECT_EQ(Field([](Copy& c) { c.Jsonb("{}"); }), "00000003017b7d");
  EXPECT_EQ(Field([](Copy& c) { c.Bigint(258); }), "000000080000000000000102");
  EXPECT_EQ(Field([](Copy& c) { c.Bigint(-1); }), "00000008ffffffffffffffff");
  EXPECT_EQ(Field([](Copy& c) { c.Integer(-2); }), "00000004fffffffe");
  EXPECT_EQ(Field([](Copy& c) { c.Boolean(true); }), "0000000101");
  EXPECT_EQ(Field([](Copy& c) { c.Boolean(false); }), "0000000100");
  EXPECT_EQ(Field([](Copy& c) { c.Uuid("0123456789abcdef"); }),
            "0000001030313233343536373839616263646566");
}

TEST(CopyEncoder, CountsTimeFromTheYear2000) {
  EXPECT_EQ(Field([](CopyEncoder& c) { c.Timestamp(946'684'800'000'001); }),
            "000000080000000000000001");
  EXPECT_EQ(Field([](CopyEncoder& c) { c.Timestamp(946'684'799'999'999); }),
            "00000008ffffffffffffffff");
}

TEST(TelemetryTuple, HoldsTheColumnsInOrderAndSaysWhereTheSiteIs) {
  const Topic topic{.tenant = "orchard", .device = "probe-7", .msg_type = "heartbeat"};
  const Reading reading{.time = kReceived - 5, .seq = -3, .metrics = R"({"a":1})"};
  std::string out = "before";
  const size_t site = AppendTelemetryTuple(topic, "north", reading, kReceived, &out);
  EXPECT_EQ(out.substr(site, 5), "north");
  const auto tuples = ReadCopyTuples(out.substr(6));
  ASSERT_THAT(tuples, SizeIs(1));
  constexpr UnixMicros kYear2000 = 946'684'800'000'000;
  std::string time;
  CopyEncoder(&time).Timestamp(kReceived - 5);
  const CopyTuple& tuple = tuples.front();
  ASSERT_THAT(tuple, SizeIs(8));
  EXPECT_EQ(kTelemetryColumns,
            "time, tenant_id, device_id, site_id, msg_type, seq, metrics, received_at");
  EXPECT_EQ(BigEndian(*tuple[0]), kReceived - 5 - kYear2000);
  EXPECT_EQ(tuple[1], "orchard");
  EXPECT_EQ(tuple[2], "probe-7");
  EXPECT_EQ(tuple[3], "north");
  EXPECT_EQ(tuple[4], "heartbeat");
  EXPECT_EQ(BigEndian(*tuple[5]), -3);
  EXPECT_EQ(tuple[6], "\1{\"a\":1}");
  EXPECT_EQ(BigEndian(*tuple[7]), kReceived - kYear2000);
}

TEST(LedgerSql, CountsMessagesRowsAndWhatIsDamaged) {
  PipelineParts parts;
  TestChunk chunk(41);
  chunk.Add(kGood).Add("junk");
  chunk.Add(R"({"site_id":"north","provision_token":"tok-apple","readings":[{},{}]})");
  ++chunk.chunk().last_seq;
  chunk.chunk().damaged = 1;
  EXPECT_EQ(LedgerSql("some-id", parts.Judge(chunk)),
            "INSERT INTO ingest_ledger (spool_id, first_seq, last_seq, messages, rows, "
            "quarantined, damaged) VALUES ('some-id', 41, 44, 3, 3, 1, 1); ");
}

TEST(UuidBytes, AreWhatItsTextSays) {
  EXPECT_EQ(ToHex(UuidBytes("01234567-89ab-cDeF-0123-456789abcdef")),
            "0123456789abcdef0123456789abcdef");
}

TEST(SpoolLockKey, DependsOnTheSpool) {
  EXPECT_EQ(SpoolLockKey("01234567-89ab-cdef-0000-000000000000"), 0x0123456789abcdef);
  EXPECT_EQ(SpoolLockKey("ffffffff-ffff-fffe-0000-000000000000"), -2);
}

}  // namespace
}  // namespace sluice
