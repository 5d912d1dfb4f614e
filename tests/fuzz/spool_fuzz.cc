// Any bytes as a segment: the spool opens, hands out what it can, counts the rest as damaged, and
// goes on.
//
// The first byte says how: the bytes are the whole file; or they follow a good header; or they are
// xored over a good segment, so that most of its records survive.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "ingest/spool/format.h"
#include "ingest/spool/spool.h"
#include "tests/fuzz/check.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace {

using sluice::Spool;

constexpr sluice::Uuid kSpool = {'s', 'l', 'u', 'i', 'c', 'e'};
constexpr int kRecords = 20;

std::string Header() {
  return sluice::EncodeSegmentHeader({kSpool, 1, 0, 0});
}

std::string GoodSegment() {
  std::string bytes = Header();
  for (uint64_t seq = 1; seq <= kRecords; ++seq) {
    const std::string payload(seq * 3, 'p');
    sluice::SpoolMessage message;
    message.topic = "tenant/t/device/d/telemetry";
    message.payload = payload;
    std::string record(sluice::RecordSize(message), '\0');
    sluice::EncodeBody(message, record.data());
    sluice::EncodeHeader(seq, sluice::RecordKey(kSpool), record.data(), record.size());
    bytes += record;
  }
  return bytes;
}

std::string FileFrom(const uint8_t* data, size_t size) {
  if (size == 0) return {};
  std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 3 == 0) return rest;
  if (data[0] % 3 == 1) return Header() + rest;
  std::string bytes = GoodSegment();
  if (bytes.size() < rest.size()) bytes.resize(rest.size());
  for (size_t i = 0; i < rest.size(); ++i) bytes[i] = static_cast<char>(bytes[i] ^ rest[i]);
  return bytes;
}

std::unique_ptr<Spool> Open(sluice::FakeFileSystem& disk, sluice::FakeClock& clock) {
  sluice::SpoolOptions options;
  options.directory = "/spool";
  options.max_bytes = 1 << 20;
  options.sync = sluice::SpoolSync::kNone;
  options.redelivery_window = 10;
  auto spool = Spool::Open(options, disk, clock);
  FUZZ_CHECK(spool.ok());
  return *std::move(spool);
}

void Drain(Spool& spool) {
  while (spool.stats().backlog_records > 0) {
    const uint64_t next = spool.stats().first_uncommitted;
    const auto chunk = spool.NextChunk(7, 1000, std::chrono::milliseconds(0));
    FUZZ_CHECK(chunk != nullptr);
    FUZZ_CHECK(chunk->first_seq == next && chunk->last_seq >= next);
    FUZZ_CHECK(chunk->last_seq - chunk->first_seq + 1 == chunk->records.size() + chunk->damaged);
    for (const sluice::SpoolRecord& record : chunk->records) {
      FUZZ_CHECK(record.seq >= chunk->first_seq && record.seq <= chunk->last_seq);
    }
    spool.Complete(*chunk);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::FakeFileSystem disk;
  sluice::FakeClock clock;
  disk.SetContents("/spool/" + sluice::SegmentName(1), FileFrom(data, size));
  disk.SetContents("/spool/watermark", sluice::EncodeWatermark({kSpool, 0}));

  auto spool = Open(disk, clock);
  Drain(*spool);
  sluice::SpoolMessage message;
  message.payload = "still alive";
  FUZZ_CHECK(spool->Append({&message, 1}).ok());
  const auto chunk = spool->NextChunk(10, 1000, std::chrono::milliseconds(0));
  FUZZ_CHECK(chunk != nullptr && chunk->damaged == 0 && chunk->records.size() == 1);
  spool->Complete(*chunk);
  const uint64_t next = spool->stats().next_seq;

  spool.reset();
  spool = Open(disk, clock);
  FUZZ_CHECK(spool->stats().backlog_records == 0 && spool->stats().next_seq == next);
  return 0;
}
