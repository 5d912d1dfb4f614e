// StatusLine: how things stand, on a line that a terminal keeps renewing.
#pragma once

#include <cstdio>
#include <string>

namespace sluice::loadtest {

// One thread. Where `file` is no terminal each Show is a line of its own.
class StatusLine {
 public:
  explicit StatusLine(std::FILE* file);
  // Leaves what was shown last.
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  bool terminal() const { return terminal_; }
  // Cut to the width of the terminal.
  void Show(const std::string& line);

 private:
  std::FILE* const file_;
  const bool terminal_;
  bool shown_ = false;
};

// "[#####...............]  25 %".
std::string ProgressBar(double share);

}  // namespace sluice::loadtest
