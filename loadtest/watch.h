// The live line: what the daemon does, from its /metrics, once a second.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>

#include "base/status.h"
#include "loadtest/scrape.h"

namespace sluice::loadtest {

struct WatchOptions {
  std::string url = "http://127.0.0.1:8080";
  int64_t seconds = 0;  // 0: until *stop
};

// Prints a line a second to standard output; on a terminal always the same one. A daemon that does
// not answer is shown as such and asked again.
void Watch(const WatchOptions& options, const volatile std::sig_atomic_t* stop);

// The line of the `seconds` between two scrapes.
std::string WatchLine(const Scrape& now, const Scrape& before, double seconds);

// Ten cells, one more for each half power of ten of `records`: full at 100,000.
std::string BacklogBar(double records);

}  // namespace sluice::loadtest
