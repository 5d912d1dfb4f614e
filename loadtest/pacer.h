// Pacer: the open-loop timetable. It knows nothing of what was sent: a slow broker does not make it
// slower.
#pragma once

#include <cstdint>

namespace sluice::loadtest {

// All times are microseconds since the start. Immutable.
class Pacer {
 public:
  // `rate` messages a second, > 0. The timetable ends after `count` messages or `duration_us`,
  // whichever is first; 0 means without that end.
  Pacer(double rate, uint64_t count, int64_t duration_us);

  // How many messages are due by then.
  uint64_t DueBy(int64_t elapsed_us) const;
  // When message `index` (from 0) is due.
  int64_t DueAt(uint64_t index) const;
  // True when the whole timetable lies behind.
  bool Over(int64_t elapsed_us) const;

 private:
  const double rate_;
  uint64_t limit_;
};

}  // namespace sluice::loadtest
