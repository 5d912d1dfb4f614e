// A progress bar on standard error, when that is a terminal; else nothing.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

class ProgressBar {
 public:
  // `total` may be an estimate.
  explicit ProgressBar(uint64_t total);
  // Ends the line, so that what is printed next begins one.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Show(uint64_t done);

 private:
  const bool terminal_;
  const uint64_t total_;
  const int64_t start_;
  bool shown_ = false;
};

// "[#####---------------]  25 %  500 of 2000  1000/s".
std::string ProgressLine(uint64_t done, uint64_t total, double seconds);

}  // namespace sluice
