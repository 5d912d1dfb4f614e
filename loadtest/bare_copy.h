// Bare COPY: how fast, and at what cost, the fleet's rows get into the table when nothing else is
// done.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>

#include "base/status.h"
#include "loadtest/message.h"
#include "loadtest/model.h"

namespace sluice::loadtest {

struct BareCopyOptions {
  std::string database_url;
  FleetShape shape;
  MessageOptions message;  // its metrics are the rows'
  uint64_t rows = 1'000'000;
  uint64_t batch = 4000;  // rows of a COPY, which is a transaction
  int connections = 1;    // each with a thread and its share of the rows
};

// Encodes the rows of as many good messages, device after device, and writes them into telemetry in
// binary COPYs. Ends early, with kCancelled, when *stop becomes non-zero.
Status RunBareCopy(const BareCopyOptions& options, const volatile std::sig_atomic_t* stop);

}  // namespace sluice::loadtest
