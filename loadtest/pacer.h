// Pacer: the open-loop timetable. It knows nothing of what was sent: a slow broker does not make it
// slower.
#pragma once

#include <cstdint>

namespace sluice::loadtest {

// Times are microseconds since the start; 0 leaves out what it is about.
struct Timetable {
  double rate = 2000;       // messages a second, evenly spread, > 0
  uint64_t count = 0;       // it ends after so many messages
  int64_t duration_us = 0;  // it ends then; whichever is first
  // On top of the rate, so many messages at one moment; the first burst after one interval.
  int64_t burst_every_us = 0;
  uint64_t burst_size = 0;
  // All connections are cut; the first time after one interval.
  int64_t storm_every_us = 0;
};

// Immutable.
class Pacer {
 public:
  explicit Pacer(const Timetable& timetable);

  // How many messages are due by then.
  uint64_t DueBy(int64_t elapsed_us) const;
  // When message `index` (from 0) is due.
  int64_t DueAt(uint64_t index) const;
  // How many storms have begun by then.
  uint64_t StormsBy(int64_t elapsed_us) const;
  // True when the whole timetable lies behind.
  bool Over(int64_t elapsed_us) const;
  // How much of it, from 0 to 1, `messages` are; negative when it has no end.
  double Share(uint64_t messages) const;

 private:
  uint64_t BurstsBy(int64_t elapsed_us) const;

  const Timetable timetable_;
  uint64_t limit_;
};

}  // namespace sluice::loadtest
