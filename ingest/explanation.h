// Explanation: what each check saw of a message and what it said, for an operator. Made from a
// message that the Pipeline has judged; judges nothing itself.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "auth/registry_store.h"
#include "ingest/batch.h"
#include "ingest/runtime_settings.h"
#include "ingest/settings.h"
#include "schema/checks.h"

namespace sluice {

enum class CheckVerdict {
  kPassed,
  kRefused,
  kNotReached,  // an earlier one refused
  kNotAsked,    // the settings do not ask it, or it cannot be asked without changing something
};
std::string_view VerdictName(CheckVerdict verdict);  // "passed" …

struct CheckSeen {
  const Check* check;
  CheckVerdict verdict;
  std::string saw;  // a device's text may be in it, not escaped; "" where it was not reached
};

// Texts hold no token: where a device wrote its token into another field it is cut out.
struct Explanation {
  std::vector<CheckSeen> checks;  // one for each of AllChecks()
  std::optional<Reason> reason;   // nothing: its rows would be stored
  std::string detail;
  // Column and value; not escaped.
  using Row = std::vector<std::pair<std::string, std::string>>;
  std::vector<Row> rows;
  std::vector<std::string> notes;  // sentences
  bool taken = true;  // false: a message of that topic does not come as far as the first check
};

// What there is to know besides.
struct ExplanationContext {
  const Settings& settings;
  const RuntimeSettings& limits;                      // in force
  size_t payload_size;                                // before anything was cut
  bool provisioned = false;                           // AUTO_PROVISION would add the device
  std::optional<SubscriptionSeen> subscription = {};  // the device's
};

// `batch` has one message.
Explanation ExplainMessage(const Batch& batch, const ExplanationContext& context);

}  // namespace sluice
