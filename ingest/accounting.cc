#include "ingest/accounting.h"

#include <string_view>

namespace sluice {

std::string Totals::Line() const {
  std::string line = "received=" + std::to_string(received) + " stored=" + std::to_string(stored) +
                     " quarantined=" + std::to_string(quarantined) +
                     " duplicates=" + std::to_string(duplicates) +
                     " spooled=" + std::to_string(spooled);
  if (damaged > 0) line += " damaged=" + std::to_string(damaged);
  return line;
}

void Accounting::Begin() {
  std::lock_guard lock(mutex_);
  const SpoolStats spool = spool_.stats();
  recovered_ = spool.backlog_records;
  next_seq_at_start_ = spool.next_seq;
}

void Accounting::Committed(const Batch& batch, UnixMicros now) {
  Totals sums;
  std::map<std::string_view, Totals::Tenant> tenants;
  for (const Message& message : batch.messages) {
    Totals::Tenant& tenant = tenants[message.device ? message.topic.tenant : "unknown"];
    if (message.accepted()) {
      ++sums.stored;
      sums.rows += message.rows;
      ++tenant.accepted;
    } else {
      ++sums.quarantined;
      ++sums.by_reason[static_cast<size_t>(message.rejection->reason)];
      ++tenant.rejected;
    }
  }

  std::lock_guard lock(mutex_);
  done_.stored += sums.stored;
  done_.rows += sums.rows;
  done_.quarantined += sums.quarantined;
  for (size_t i = 0; i < kReasonCount; ++i) done_.by_reason[i] += sums.by_reason[i];
  for (const auto& [name, counts] : tenants) {
    const std::string tenant(name);
    // One place is kept for "unknown".
    const bool room = done_.tenants.size() < kMaxTenants - 1 || done_.tenants.contains(tenant);
    Totals::Tenant& total = done_.tenants[room ? tenant : "unknown"];
    total.accepted += counts.accepted;
    total.rejected += counts.rejected;
  }
  done_.damaged += batch.chunk->damaged;
  done_.last_commit = now;
  spool_.Complete(*batch.chunk);
}

Totals Accounting::Snapshot() const {
  std::lock_guard lock(mutex_);
  // Duplicates first: one more may come while the rest is read, and it is in neither sum then.
  Totals totals = done_;
  totals.duplicates = duplicates_.load(std::memory_order_relaxed);
  totals.ignored = ignored_.load(std::memory_order_relaxed);
  const SpoolStats spool = spool_.stats();
  totals.recovered = recovered_;
  totals.spooled = spool.backlog_records;
  totals.received = recovered_ + (spool.next_seq - next_seq_at_start_) + totals.duplicates;
  return totals;
}

}  // namespace sluice
