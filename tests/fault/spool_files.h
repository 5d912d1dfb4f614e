// What the files of a spool hold, read while no daemon has them open: so that a test knows what it
// destroys.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::testing {

struct SpooledRecord {
  uint64_t seq = 0;
  std::string id;      // of the message in it, as in MessageId
  uint64_t begin = 0;  // in the file
  uint64_t end = 0;
};

struct SpooledSegment {
  std::string name;
  std::string path;
  std::vector<SpooledRecord> records;
};

// All segments, in order. A record that was damaged before has no id, or is left out.
std::vector<SpooledSegment> ReadSegments(const std::string& directory);

}  // namespace sluice::testing
