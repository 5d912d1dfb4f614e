// tests/golden/spool-1 is a spool directory as version 1 of the format wrote it. Every later
// version must read it. SLUICE_GOLDEN=DIRECTORY keeps there what today's code writes; a new version
// of the format gets a directory of its own so, beside the old ones.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <tuple>

#include "tests/unit/spool/spool_fixture.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kWatermark = 10;
constexpr uint64_t kLast = 40;
constexpr uint64_t kAfterGap = 51;
constexpr uint64_t kEnd = 60;

struct Example {
  std::string topic, payload, stamp;
  UnixMicros received = 0;
  uint16_t packet_id = 0;
};

Example ExampleOf(uint64_t seq) {
  const std::string number = std::to_string(seq);
  Example example{.topic = "tenant/t" + std::to_string(seq % 3) + "/device/d" + number,
                  .payload = R"({"seq":)" + number + R"(,"metrics":{"heat":21.5}})",
                  .stamp = seq % 2 == 0 ? "" : "stamp of " + number,
                  .received = 1'767'225'600'000'000 + static_cast<UnixMicros>(seq) * 1000,
                  .packet_id = static_cast<uint16_t>(seq)};
  if (seq % 7 == 0) {
    for (int byte = 0; byte < 256; ++byte) example.payload += static_cast<char>(byte);
  }
  return example;
}

class GoldenSpool : public SpoolTest {
 protected:
  GoldenSpool() { options_.segment_bytes = 2048; }

  void AppendExamples(uint64_t first, uint64_t last) {
    for (uint64_t seq = first; seq <= last; ++seq) {
      const Example example = ExampleOf(seq);
      const SpoolMessage message{.topic = example.topic,
                                 .payload = example.payload,
                                 .stamp = example.stamp,
                                 .received = example.received,
                                 .packet_id = example.packet_id};
      ASSERT_TRUE(spool_->Append({&message, 1}).ok());
    }
  }
  // Some segments, a watermark, and numbers that were left out because the ledger knew a later one.
  void WriteAnew() {
    Open();
    AppendExamples(1, kLast);
    spool_->Complete(*Next(kWatermark));
    spool_->Maintain();
    Open();
    spool_->SkipCommitted({{1, kWatermark}, {kAfterGap - 1, kAfterGap - 1}});
    AppendExamples(kAfterGap, kEnd);
    Close();
  }
  void ExpectExamples() {
    Open();
    EXPECT_EQ(spool_->watermark(), kWatermark);
    spool_->SkipCommitted({{1, kWatermark}});
    uint64_t expected = kWatermark + 1;
    while (spool_->stats().backlog_records > 0) {
      const std::unique_ptr<Chunk> chunk = Next();
      EXPECT_EQ(chunk->damaged, 0U);
      for (const SpoolRecord& record : chunk->records) {
        EXPECT_EQ(record.seq, expected);
        const Example example = ExampleOf(record.seq);
        EXPECT_EQ(std::tie(record.topic, record.payload, record.stamp, record.received),
                  std::make_tuple(example.topic, example.payload, example.stamp, example.received));
        expected = record.seq == kLast ? kAfterGap : record.seq + 1;
      }
      spool_->Complete(*chunk);
    }
    EXPECT_EQ(expected, kEnd + 1);
    EXPECT_EQ(spool_->stats().next_seq, kEnd + 1);
  }
  static std::vector<fs::path> FilesOf(const std::string& directory) {
    return {fs::directory_iterator(directory), fs::directory_iterator()};
  }
};

TEST_F(GoldenSpool, ReadsWhatThisVersionWrites) {
  WriteAnew();
  if (const char* keep = std::getenv("SLUICE_GOLDEN")) {
    for (const std::string& path : disk_->Names()) {
      std::ofstream(keep + path.substr(std::string(kDirectory).size()), std::ios::binary)
          << disk_->Contents(path);
    }
  }
  ExpectExamples();
}

TEST_F(GoldenSpool, ReadsWhatVersion1HasWritten) {
  size_t segments = 0;
  for (const fs::path& file : FilesOf(SLUICE_SOURCE_DIR "/tests/golden/spool-1")) {
    std::ifstream in(file, std::ios::binary);
    disk_->SetContents(Path(file.filename()), {std::istreambuf_iterator<char>(in), {}});
    if (ParseSegmentName(file.filename().string())) ++segments;
  }
  EXPECT_GE(segments, 3U);
  ExpectExamples();
  for (const std::string& path : disk_->Names()) EXPECT_EQ(path.find("unreadable"), path.npos);
}

}  // namespace
}  // namespace sluice
