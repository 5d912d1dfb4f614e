// WatermarkFile: the file that says up to where everything is committed. One thread.
#pragma once

#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "ingest/spool/format.h"

namespace sluice {

class WatermarkFile {
 public:
  WatermarkFile(FileSystem& fs, std::string directory);

  // kNotFound when there is none, kCorrupt when it is damaged.
  Result<Watermark> Read() const;
  // Durable when Ok; otherwise the old one is still there. On a full disk it goes into space that
  // was reserved before: without a watermark nothing could be unlinked, and the disk would stay
  // full.
  Status Write(const Watermark& watermark);
  // Reserves that space for the next Write, unless it is reserved.
  Status Reserve();

 private:
  std::string Temporary() const;
  Status Replace(const Watermark& watermark);

  FileSystem& fs_;
  std::string directory_;
  std::unique_ptr<WritableFile> next_;  // empty, with its space reserved
};

}  // namespace sluice
