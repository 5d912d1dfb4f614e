#include "ingest/spool/progress.h"

#include <algorithm>
#include <iterator>

namespace sluice {

void Progress::Complete(SeqRange range) {
  uint64_t first = std::max(range.first, watermark_ + 1);
  uint64_t last = range.last;
  if (first > last) return;

  auto it = done_.upper_bound(first);
  if (it != done_.begin() && std::prev(it)->second + 1 >= first) --it;
  while (it != done_.end() && it->first <= last + 1) {
    first = std::min(first, it->first);
    last = std::max(last, it->second);
    done_beyond_ -= it->second - it->first + 1;
    it = done_.erase(it);
  }

  if (first == watermark_ + 1) {
    watermark_ = last;
    return;
  }
  done_.emplace(first, last);
  done_beyond_ += last - first + 1;
}

}  // namespace sluice
