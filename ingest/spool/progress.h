// Progress: which records are done, and up to where all of them are. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>

#include "ingest/spool/spool.h"

namespace sluice {

class Progress {
 public:
  explicit Progress(uint64_t watermark) : watermark_(watermark) {}

  // The range may overlap what is done already.
  void Complete(SeqRange range);

  uint64_t watermark() const { return watermark_; }
  // How many numbers beyond the watermark are done.
  uint64_t done_beyond() const { return done_beyond_; }

 private:
  uint64_t watermark_;
  uint64_t done_beyond_ = 0;
  std::map<uint64_t, uint64_t> done_;  // first → last; disjoint, all beyond the watermark
};

}  // namespace sluice
