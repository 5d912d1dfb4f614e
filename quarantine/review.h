// What an operator asks of the quarantine, in SQL: to find messages, to look at one, to discard.
// For the daemon's role or the owner of the tables; the parts that only read, for pulse_operator,
// too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/postgres.h"

namespace sluice {

// The message after which a listing goes on; both as PostgreSQL wrote them.
struct QuarantinePosition {
  std::string ingested_at;
  std::string id;
};

// Empty members do not narrow.
struct QuarantineFilter {
  std::vector<int64_t> ids = {};
  std::string tenant = {};
  std::string device = {};
  std::string reason = {};
  std::optional<UnixMicros> since = {};  // when it came to the quarantine
  std::string state = "NEW";             // replay_state
  int64_t limit = 0;                     // most messages or lines; 0: all

  bool narrows() const {
    return !ids.empty() || !tenant.empty() || !device.empty() || !reason.empty() || since;
  }
};

// "30m", "2h", "7d" before `now`, or a time as ISO 8601 has it; nothing when it is neither.
std::optional<UnixMicros> ParseSince(std::string_view text, UnixMicros now);

// Digits only; nothing when it is anything else or does not fit.
std::optional<int64_t> ParseWholeNumber(std::string_view text);

// The condition that a filter is, for any statement on quarantine_events, and its parameters. The
// state stands in the text: the indexes of NEW messages are used for nothing else.
class QuarantineCondition {
 public:
  explicit QuarantineCondition(const QuarantineFilter& filter);

  // Narrows it down to what comes after, or before, that message in the order of (ingested_at, id).
  void After(const QuarantinePosition& position);
  void Before(const QuarantinePosition& position);
  // The number of a further parameter, as "$3".
  std::string Parameter(std::string value);

  const std::string& sql() const { return sql_; }
  const std::vector<PgParam>& params() const { return params_; }

 private:
  void And(const std::string& left, std::string value, const std::string& right = "");
  void AndPosition(const char* comparison, const QuarantinePosition& position);

  std::string sql_;
  std::vector<PgParam> params_;
};

// One row with one column: an array of objects, newest message first, from before `position`.
PgResult<PgRows> ListQuarantined(PgConnection& db, const QuarantineFilter& filter,
                                 const std::optional<QuarantinePosition>& position = std::nullopt);

// The same, most messages first. `stored` are the NEW messages that the filter takes: by the counts
// that are kept, or, with `since`, counted one by one. `counted` and `withheld` are what was
// rejected since then, or in the last 24 hours, and what of it was not kept; of the tenant and
// reason as a whole, whatever device the filter asks for.
PgResult<PgRows> SummarizeByReason(PgConnection& db, const QuarantineFilter& filter);
PgResult<PgRows> SummarizeByDevice(PgConnection& db, const QuarantineFilter& filter);
// Whole devices, with `stored` of each of their `reasons` in an object; what names no device is
// left out.
PgResult<PgRows> WorstDevices(PgConnection& db, const QuarantineFilter& filter);

// At most `page` messages whole, oldest first, after `position`, whatever the filter's limit: what
// is known as an object, the payload's bytes in hexadecimal, ingested_at and id for the next
// position.
struct WholeColumns {
  enum : int { kObject, kPayload, kIngestedAt, kId };
};
PgResult<PgRows> FetchQuarantined(PgConnection& db, const QuarantineFilter& filter,
                                  const std::optional<QuarantinePosition>& position, int64_t page);

// How many messages the filter takes, whatever its limit.
PgResult<int64_t> CountQuarantined(PgConnection& db, const QuarantineFilter& filter);
// How many of that tenant and reason were rejected since then, or in the last 24 hours, and not
// kept: flood control only counted them. Nothing where the filter asks for more than the counters
// tell (ids, a device).
PgResult<std::optional<int64_t>> CountWithheld(PgConnection& db, const QuarantineFilter& filter);

// Which of these messages are not in the quarantine, in any state; in order, each once.
PgResult<std::vector<int64_t>> FindMissing(PgConnection& db, const std::vector<int64_t>& ids);

// Marks at most `page` NEW messages of the filter after `position` DISCARDED, whatever its limit;
// how many. Leaves out those that a replay works on.
PgResult<int64_t> DiscardQuarantined(PgConnection& db, const QuarantineFilter& filter,
                                     const std::optional<QuarantinePosition>& position,
                                     const std::string& by, int64_t page);

// What PostgreSQL's encode(…, 'hex') stands for.
std::string BytesFromHex(std::string_view hex);

}  // namespace sluice
