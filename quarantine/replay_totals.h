// What became of quarantined messages that were put through the checks again.
#pragma once

#include <cstdint>
#include <map>

#include "schema/reason.h"

namespace sluice {

struct ReplayTotals {
  uint64_t messages = 0;  // looked at; replayed + refused + not_kept
  uint64_t replayed = 0;
  uint64_t rows = 0;      // of telemetry that they became
  uint64_t refused = 0;   // NEW still, with the reason of today
  uint64_t not_kept = 0;  // NEW still: their payload is not there, or only its beginning
  std::map<Reason, uint64_t> reasons = {};  // of the refused

  void Add(const ReplayTotals& other) {
    messages += other.messages;
    replayed += other.replayed;
    rows += other.rows;
    refused += other.refused;
    not_kept += other.not_kept;
    for (const auto& [reason, count] : other.reasons) reasons[reason] += count;
  }
};

}  // namespace sluice
