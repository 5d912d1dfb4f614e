// WatermarkFile: the file that says up to where everything is committed. One thread.
#pragma once

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
  // Durable when Ok; otherwise the old one is still there.
  Status Write(const Watermark& watermark);

 private:
  FileSystem& fs_;
  std::string directory_;
};

}  // namespace sluice
