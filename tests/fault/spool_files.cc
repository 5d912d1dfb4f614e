#include "tests/fault/spool_files.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/file_system.h"
#include "ingest/spool/format.h"
#include "ingest/spool/record_reader.h"
#include "tests/fault/mqtt_tap.h"
#include "tests/support/temp_dir.h"

namespace sluice::testing {
namespace {

std::vector<SpooledRecord> ReadRecords(const std::string& path) {
  const std::string bytes = ReadFile(path);
  const auto header = ParseSegmentHeader(std::string_view(bytes).substr(0, kSegmentHeaderSize));
  EXPECT_TRUE(header.ok()) << path << ": " << header.status().message();
  std::vector<SpooledRecord> records;
  if (!header.ok()) return records;
  RecordReader reader(RecordKey(header->spool));
  reader.Open(std::move(*SystemFileSystem().OpenRead(path)), kSegmentHeaderSize);
  for (;;) {
    RecordReader::Step step = reader.Peek(bytes.size());
    if (step == RecordReader::Step::kGarbage) step = reader.FindRecord(bytes.size());
    if (step != RecordReader::Step::kRecord) break;
    if (reader.Peek(bytes.size()) != RecordReader::Step::kRecord) continue;
    SpoolRecord record;
    if (reader.body_intact()) DecodeBody(reader.body(), &record);
    records.push_back({.seq = reader.header().seq,
                       .id = MessageId(record.topic, record.payload),
                       .begin = reader.offset(),
                       .end = reader.offset() + reader.record_size()});
    reader.Skip();
    reader.DropBefore();
  }
  return records;
}

}  // namespace

std::vector<SpooledSegment> ReadSegments(const std::string& directory) {
  std::vector<SpooledSegment> segments;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (!ParseSegmentName(name)) continue;
    segments.push_back({.name = name, .path = entry.path(), .records = ReadRecords(entry.path())});
  }
  std::sort(segments.begin(), segments.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return segments;
}

}  // namespace sluice::testing
