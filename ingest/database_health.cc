#include "ingest/database_health.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/log.h"

namespace sluice {

std::string_view DatabaseStateName(DatabaseState state) {
  constexpr std::array<std::string_view, 4> kNames = {"unknown", "up", "retrying", "paused"};
  return kNames[static_cast<size_t>(state)];
}

std::string_view ConcernName(Concern concern) {
  constexpr std::array<std::string_view, kConcernCount> kNames = {
      "database_restored", "partition_missing", "changes_unheard"};
  return kNames[static_cast<size_t>(concern)];
}

Failure Classify(const PgError& error) {
  constexpr std::array<std::string_view, 8> kRetry = {"08", "25", "40", "53",
                                                      "55", "57", "58", "XX"};
  // P0: what a trigger raises by itself.
  constexpr std::array<std::string_view, 4> kPoison = {"22", "23", "54", "P0"};
  if (error.sqlstate.empty()) return Failure::kRetry;
  const std::string_view group = std::string_view(error.sqlstate).substr(0, 2);
  if (std::find(kRetry.begin(), kRetry.end(), group) != kRetry.end()) return Failure::kRetry;
  if (std::find(kPoison.begin(), kPoison.end(), group) != kPoison.end()) return Failure::kPoison;
  return Failure::kOperator;
}

void DatabaseHealth::Succeeded(Seen seen) {
  std::lock_guard lock(mutex_);
  const View before = Worst();
  if (seen == Seen::kByCommit) seen_.fill({DatabaseState::kUp, ""});
  seen_[static_cast<size_t>(seen)] = {DatabaseState::kUp, ""};
  LogChange(before, Worst());
}

void DatabaseHealth::Failed(Seen seen, const PgError& error) {
  const bool retry = Classify(error) == Failure::kRetry;
  Failed(seen, retry ? DatabaseState::kRetrying : DatabaseState::kPaused, error.Describe());
}

void DatabaseHealth::Failed(Seen seen, DatabaseState state, std::string reason) {
  std::lock_guard lock(mutex_);
  const View before = Worst();
  seen_[static_cast<size_t>(seen)] = {state, std::move(reason)};
  LogChange(before, Worst());
}

DatabaseHealth::View DatabaseHealth::view() const {
  std::lock_guard lock(mutex_);
  return Worst();
}

void DatabaseHealth::SetConcern(Concern concern, const std::string& text) {
  std::lock_guard lock(mutex_);
  std::string& current = concerns_[static_cast<size_t>(concern)];
  if (current == text) return;
  current = text;
  if (text.empty()) {
    LogInfo(ConcernName(concern), {{"state", "over"}});
  } else {
    LogError(ConcernName(concern), {{"reason", text}});
  }
}

DatabaseHealth::Concerns DatabaseHealth::concerns() const {
  std::lock_guard lock(mutex_);
  return concerns_;
}

DatabaseHealth::View DatabaseHealth::Worst() const {
  return *std::max_element(seen_.begin(), seen_.end(),
                           [](const View& a, const View& b) { return a.state < b.state; });
}

void DatabaseHealth::LogChange(const View& before, const View& after) {
  if (before.state == after.state && before.reason == after.reason) return;
  if (after.state == DatabaseState::kUp) {
    LogInfo("database_up");
  } else if (after.state == DatabaseState::kRetrying) {
    LogWarning("database_retrying", {{"reason", after.reason}});
  } else if (after.state == DatabaseState::kPaused) {
    LogError("database_paused", {{"reason", after.reason}});
  }
}

}  // namespace sluice
