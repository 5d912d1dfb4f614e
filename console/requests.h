// What a request to the console's API asks for. openapi.json has the limits; a Status here says in
// a sentence, which begins with the name of what is wrong, why the request will not do.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "quarantine/review.h"

namespace sluice {

using QueryParameters = std::multimap<std::string, std::string>;

// What to list, or to change.
struct QuarantineRequest {
  QuarantineFilter filter = {};  // a page's size is its limit
  std::optional<QuarantinePosition> after = {};
};

// A page of the list. What is empty counts as not given.
Result<QuarantineRequest> ParseList(const QueryParameters& query, UnixMicros now);

// Of NEW messages, with no parameters but those of a list that are `known`.
Result<QuarantineFilter> ParseWaiting(const QueryParameters& query,
                                      std::initializer_list<std::string_view> known);

// Of a request that takes no parameters.
Status RefuseParameters(const QueryParameters& query);

// The id of a message.
Result<int64_t> ParseMessageId(std::string_view text);

// The NEW messages that a body names, by their ids or by a filter with a limit, which may go on
// after others.
Result<QuarantineRequest> ParseSelection(const std::string& body, UnixMicros now);

// What both take as `after`.
std::string CursorAt(const QuarantinePosition& position);

}  // namespace sluice
