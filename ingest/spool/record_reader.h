// RecordReader: walks over the records of one segment, whatever state its bytes are in.
//
// It looks at the record at its position; the caller then moves on. What was read stays in one
// buffer until it is taken or dropped, so that views of many records can point into it. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/status.h"
#include "ingest/spool/format.h"

namespace sluice {

class RecordReader {
 public:
  enum class Step {
    kRecord,   // header() is valid; body_intact() says whether the rest is
    kGarbage,  // there are bytes, but no whole record
    kEnd,      // no bytes before `end`
    kFailed,   // the disk gives nothing at all; failure() says why. The position is unchanged
  };

  explicit RecordReader(uint32_t key) : key_(key) {}

  // Starts at `offset`, which is normally a record's.
  void Open(std::unique_ptr<ReadableFile> file, uint64_t offset);
  void Close() { file_.reset(); }

  // Looks at the position, not beyond `end` (a file offset).
  Step Peek(uint64_t end);
  const RecordHeader& header() const { return header_; }
  bool body_intact() const { return body_intact_; }
  size_t record_size() const { return kRecordHeaderSize + header_.body_size; }
  // Where the body of the record starts in the buffer.
  size_t body_position() const { return position_ + kRecordHeaderSize; }
  std::string_view body() const { return {buffer_.data() + body_position(), header_.body_size}; }
  const Status& failure() const { return failure_; }

  // Moves past the record that Peek found.
  void Skip() { position_ += record_size(); }
  // After kGarbage: moves to the next whole record, or to `end`, and drops what is before it.
  // kRecord, kEnd or kFailed; to be followed by Peek.
  Step FindRecord(uint64_t end);

  uint64_t offset() const { return base_ + position_; }  // in the file
  std::string_view rest() const { return {buffer_.data() + position_, loaded()}; }
  void DropBefore();  // what is before the position is no longer needed
  // Hands over what was read; views computed from body_position() hold. Reading goes on at the
  // position.
  std::string TakeBuffer();

 private:
  // Has at least `size` bytes from the position on in the buffer, or all there are before `end`.
  // False when the disk fails.
  bool Load(size_t size, uint64_t end);
  bool Read(uint64_t offset, char* to, size_t size);
  size_t loaded() const { return buffer_.size() - position_; }

  const uint32_t key_;
  std::unique_ptr<ReadableFile> file_;
  std::string buffer_;
  uint64_t base_ = 0;    // file offset of the buffer's first byte
  size_t position_ = 0;  // in the buffer
  RecordHeader header_;
  bool body_intact_ = false;
  Status failure_;
};

}  // namespace sluice
