#include "ingest/replay_queue.h"

#include <algorithm>
#include <utility>

#include "ingest/kept_message.h"

namespace sluice {

ReplayQueue::ReplayQueue(QuarantineFilter filter, std::optional<QuarantinePosition> after)
    : filter_(std::move(filter)), last_(std::move(after)) {}

PgResult<PgRows> ReplayQueue::Take(PgConnection& db, size_t at_most) {
  const std::lock_guard lock(mutex_);
  if (until_.empty()) {
    auto now = db.Exec("SELECT now()");
    if (!now.ok()) return now;
    until_ = now->Text(0, 0);
  }
  if (filter_.limit > 0) at_most = std::min(at_most, static_cast<size_t>(filter_.limit) - taken_);
  QuarantineCondition condition(filter_);
  if (last_) condition.After(*last_);
  const std::string until = condition.Parameter(until_);
  auto rows = db.ExecParams(kKeptSql + condition.sql() + " AND ingested_at <= " + until +
                                "::timestamptz ORDER BY ingested_at, id LIMIT " +
                                std::to_string(at_most) + " FOR UPDATE SKIP LOCKED",
                            condition.params());
  if (!rows.ok()) return rows;
  const auto got = static_cast<size_t>(rows->size());
  taken_ += got;
  empty_ = got < at_most;
  if (got > 0) {
    const int last = rows->size() - 1;
    last_ = QuarantinePosition{std::string(rows->Text(last, KeptColumns::kIngestedAt)),
                               std::string(rows->Text(last, KeptColumns::kId))};
  }
  return rows;
}

bool ReplayQueue::empty() const {
  const std::lock_guard lock(mutex_);
  return empty_;
}

std::optional<QuarantinePosition> ReplayQueue::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

}  // namespace sluice
