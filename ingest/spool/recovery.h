// Recovery: what a spool directory holds when it is opened. Sets aside what cannot be used and cuts
// off a torn tail; docs/spool-format.md, "At start".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "ingest/spool/format.h"
#include "ingest/spool/redelivery.h"
#include "ingest/spool/segment.h"

namespace sluice {

struct RecoveredSpool {
  Uuid uuid{};
  // Nothing when there is no file, or one that belongs to another spool.
  std::optional<uint64_t> watermark;
  std::vector<std::shared_ptr<Segment>> segments;  // in order; all but the last one are sealed
  uint64_t last_seq = 0;                           // the last number given out, as far as is known
  std::vector<SeqRange> gaps;                      // numbers left out on purpose
};

// An empty list of segments and a new UUID when there is nothing to go on with. Fails only when the
// directory cannot be listed or the last segment cannot be read at all.
Result<RecoveredSpool> RecoverSpool(FileSystem& fs, const std::string& directory);

// Fills the memory with the last `window` records of the spool.
void RecallDeliveries(FileSystem& fs, const RecoveredSpool& spool, uint64_t window,
                      RedeliveryMemory* memory);

}  // namespace sluice
