#include "loadtest/status_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace sluice::loadtest {

StatusLine::StatusLine(std::FILE* file) : file_(file), terminal_(::isatty(::fileno(file)) == 1) {}

StatusLine::~StatusLine() {
  if (terminal_ && shown_) std::fprintf(file_, "\n");
}

void StatusLine::Show(const std::string& line) {
  if (!terminal_) {
    std::fprintf(file_, "%s\n", line.c_str());
  } else {
    winsize size{};
    const bool known = ::ioctl(::fileno(file_), TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    const size_t width = known ? size.ws_col - 1 : 79;
    std::fprintf(file_, "\r%s\x1b[K", line.substr(0, width).c_str());
  }
  std::fflush(file_);
  shown_ = true;
}

std::string ProgressBar(double share) {
  constexpr size_t kCells = 20;
  const double clamped = std::clamp(share, 0.0, 1.0);
  const auto full = static_cast<size_t>(clamped * kCells);
  std::array<char, 16> percent;
  std::snprintf(percent.data(), percent.size(), "] %3.0f %%", clamped * 100);
  return "[" + std::string(full, '#') + std::string(kCells - full, '.') + percent.data();
}

}  // namespace sluice::loadtest
