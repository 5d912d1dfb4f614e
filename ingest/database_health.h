// DatabaseHealth: what was last seen of PostgreSQL, for /ready, /metrics and the log.
#pragma once

#include <array>
#include <mutex>
#include <string>

#include "base/postgres.h"

namespace sluice {

enum class DatabaseState {
  kUnknown,  // not asked yet
  kUp,
  kRetrying,  // away or overloaded: chunks wait and are tried again
  kPaused,    // refuses for a reason that only an operator can mend; tried again all the same
};
std::string_view DatabaseStateName(DatabaseState state);  // "up", …

// What to do about an error, by its SQLSTATE's class.
enum class Failure {
  kRetry,     // 08, 25, 40, 53, 55, 57, 58, XX, lost connections, deadlines
  kOperator,  // 28, 3D, 3F, 42 and whatever else is not listed here
  kPoison,    // 22, 23, 54, P0: a row's own fault, if it happened while copying rows
};
Failure Classify(const PgError& error);

// What does not stop messages from being stored but wants an operator. Its name is the log's event
// and the metric's label.
enum class Concern {
  kRestored,          // the database has forgotten what it had committed
  kPartitionMissing,  // a day's rows go to the default partition
  kChangesUnheard,    // nobody says when the registry changes
};
inline constexpr size_t kConcernCount = 3;
std::string_view ConcernName(Concern concern);  // "database_restored", …

// Thread-safe. Logs changes of state, not repetitions.
class DatabaseHealth {
 public:
  // Who has seen it. A commit's success speaks for all; a watcher's only for the connection.
  enum class Seen { kByCommit, kByWatcher };

  void Succeeded(Seen seen);
  void Failed(Seen seen, const PgError& error);
  void Failed(Seen seen, DatabaseState state, std::string reason);

  // The worse of what the two have seen, with a sentence when it is kRetrying or kPaused.
  struct View {
    DatabaseState state = DatabaseState::kUnknown;
    std::string reason;
  };
  View view() const;

  // A sentence, or "" when it is over. Logged when it changes.
  void SetConcern(Concern concern, const std::string& text);
  using Concerns = std::array<std::string, kConcernCount>;  // by Concern; "" where there is none
  Concerns concerns() const;

 private:
  View Worst() const;
  void LogChange(const View& before, const View& after);

  mutable std::mutex mutex_;
  std::array<View, 2> seen_;
  Concerns concerns_;
};

}  // namespace sluice
