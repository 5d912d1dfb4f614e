// AckLog: which messages the broker has acknowledged, on disk, for comparing with the database.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"
#include "loadtest/model.h"

namespace sluice::loadtest {

// One line per acknowledged message: "tenant device seq", and for a bad one its kind as a fourth
// word. Lines collect in memory until Flush. Not thread-safe.
class AckLog {
 public:
  // Appends to `path`; an empty path makes a log that does nothing.
  static Result<AckLog> Open(const std::string& path, const std::vector<Sender>& senders);

  void Acknowledged(uint32_t sender, uint64_t seq, Kind kind);
  // Writes what has collected.
  Status Flush();

 private:
  UniqueFd file_;
  std::vector<std::string> prefixes_;  // "tenant device " by sender
  std::string lines_;
};

}  // namespace sluice::loadtest
