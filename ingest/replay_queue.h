// ReplayQueue: the quarantined messages that a replay is to look at, handed out oldest first and
// each once, however many Replayers take from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "base/postgres.h"
#include "quarantine/review.h"

namespace sluice {

// Any thread.
class ReplayQueue {
 public:
  // What the filter takes, up to its limit, beginning after `after`.
  explicit ReplayQueue(QuarantineFilter filter,
                       std::optional<QuarantinePosition> after = std::nullopt);

  // The next `at_most` messages or fewer, as kKeptSql has them, locked until the transaction that
  // `db` is in ends. None when all that were there at the first call were handed out, or the limit
  // is reached. What another replay has locked is that one's business and left out; what it has
  // committed meanwhile is seen.
  PgResult<PgRows> Take(PgConnection& db, size_t at_most);

  // Whether the last Take found no more.
  bool empty() const;
  // The message handed out last: another replay goes on after it. At first, where this one began.
  std::optional<QuarantinePosition> last() const;

 private:
  const QuarantineFilter filter_;
  mutable std::mutex mutex_;
  std::optional<QuarantinePosition> last_;  // guarded by mutex_, like the rest
  std::string until_;                       // the first call's time, as PostgreSQL wrote it
  size_t taken_ = 0;
  bool empty_ = false;
};

}  // namespace sluice
