#include "ingest/commands/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/clock.h"

namespace sluice {
namespace {

constexpr uint64_t kCells = 30;

}  // namespace

ProgressBar::ProgressBar(uint64_t total)
    : terminal_(::isatty(STDERR_FILENO) == 1), total_(total), start_(SystemClock().Monotonic()) {}

ProgressBar::~ProgressBar() {
  if (shown_) std::fputc('\n', stderr);
}

void ProgressBar::Show(uint64_t done) {
  if (!terminal_) return;
  const double seconds = static_cast<double>(SystemClock().Monotonic() - start_) / 1e6;
  std::fprintf(stderr, "\r%s\x1b[K", ProgressLine(done, total_, seconds).c_str());
  shown_ = true;
}

std::string ProgressLine(uint64_t done, uint64_t total, double seconds) {
  const double part =
      total == 0 ? 1 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto cells = static_cast<size_t>(part * kCells);
  char text[96];
  std::snprintf(text, sizeof text, "] %3.0f %%  %llu of %llu  %.0f/s", part * 100,
                static_cast<unsigned long long>(done),
                static_cast<unsigned long long>(std::max(done, total)),
                seconds > 0 ? static_cast<double>(done) / seconds : 0);
  return '[' + std::string(cells, '#') + std::string(kCells - cells, '-') + text;
}

}  // namespace sluice
