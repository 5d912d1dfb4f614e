#include "console/requests.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/escape.h"
#include "schema/json_walk.h"
#include "schema/reason.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

using Json = nlohmann::json;

constexpr int64_t kPage = 50;
constexpr int64_t kLargestPage = 500;
constexpr size_t kMostIds = 1000;
constexpr int64_t kMostMessages = 10'000;
constexpr size_t kLongestId = 18;  // what surely fits
constexpr size_t kLongestName = 256;
constexpr size_t kLongestTime = 64;

Status Wrong(std::string_view name, const std::string& why) {
  return {ErrorCode::kInvalidArgument, std::string(name) + ": " + why};
}

// The beginning of what somebody wrote, for a message.
std::string Begin(std::string_view text) {
  constexpr size_t kShown = 64;
  return std::string(text.substr(0, kShown)) + (text.size() > kShown ? "…" : "");
}

Status Unknown(std::string_view name) {
  return Wrong(Begin(name), "there is no such thing to ask for");
}

Status TwoValues(std::string_view name) {
  return Wrong(Begin(name), "it has two values");
}

size_t Characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

Status CheckText(std::string_view name, std::string_view text, size_t longest) {
  if (text.empty()) return Wrong(name, "it is empty");
  if (Characters(text) > longest) {
    return Wrong(name, "it has more than " + std::to_string(longest) + " characters");
  }
  if (!IsValidUtf8(text)) return Wrong(name, "it is not UTF-8");
  if (text.find('\0') != std::string_view::npos) return Wrong(name, "there is a NUL in it");
  return Status::Ok();
}

Status OutOf(std::string_view name, std::string_view text, int64_t most) {
  return Wrong(name, Begin(text) + " is no whole number from 1 to " + std::to_string(most));
}

// One member of a filter, which a list and a selection have in common.
Status SetFilter(std::string_view name, const std::string& text, UnixMicros now,
                 QuarantineFilter* filter) {
  Status good = CheckText(name, text, name == "since" ? kLongestTime : kLongestName);
  if (!good.ok()) return good;
  if (name == "tenant") {
    filter->tenant = text;
  } else if (name == "device") {
    filter->device = text;
  } else if (name == "reason") {
    Reason reason{};
    if (!ParseReason(text, &reason)) return Wrong(name, "there is no reason " + Begin(text));
    filter->reason = text;
  } else if (name == "since") {
    filter->since = ParseSince(text, now);
    if (!filter->since) {
      return Wrong(name,
                   Begin(text) + " is neither 30m, 2h or 7d nor a time as 2026-03-01T10:00:00Z");
    }
  } else {
    return Unknown(name);
  }
  return Status::Ok();
}

Status SetState(const std::string& text, QuarantineFilter* filter) {
  if (text == "ALL") {
    filter->state.clear();
  } else if (text == "NEW" || text == "REPLAYED" || text == "DISCARDED") {
    filter->state = text;
  } else {
    return Wrong("status", Begin(text) + " is none of NEW, REPLAYED, DISCARDED and ALL");
  }
  return Status::Ok();
}

// As CursorAt wrote it.
std::optional<QuarantinePosition> ParseCursor(std::string_view text) {
  const size_t line = std::min(text.find('_'), text.size());
  const auto time = ParseIso8601(text.substr(0, line));
  if (!time || line == text.size()) return std::nullopt;
  const Result<int64_t> id = ParseMessageId(text.substr(line + 1));
  if (!id.ok()) return std::nullopt;
  return QuarantinePosition{FormatIso8601(*time), std::to_string(*id)};
}

Status SetCursor(std::string_view text, QuarantineRequest* request) {
  request->after = ParseCursor(text);
  return request->after ? Status::Ok() : Wrong("after", "it is no next of an answer before");
}

Status SetParameter(const std::string& name, const std::string& text, UnixMicros now,
                    QuarantineRequest* request) {
  if (name == "status") return SetState(text, &request->filter);
  if (name == "limit") {
    const auto number = ParseWholeNumber(text);
    if (!number || *number < 1 || *number > kLargestPage) return OutOf(name, text, kLargestPage);
    request->filter.limit = *number;
    return Status::Ok();
  }
  if (name == "after") return SetCursor(text, request);
  return SetFilter(name, text, now, &request->filter);
}

Result<QuarantineFilter> ParseIds(const Json& ids) {
  if (!ids.is_array() || ids.empty() || ids.size() > kMostIds) {
    return Wrong("ids", "1 to " + std::to_string(kMostIds) + " of them are wanted");
  }
  QuarantineFilter filter;
  for (const Json& id : ids) {
    if (!id.is_string()) return Wrong("ids", "each is wanted as text");
    const Result<int64_t> number = ParseMessageId(id.get_ref<const std::string&>());
    if (!number.ok()) return Wrong("ids", number.message());
    filter.ids.push_back(*number);
  }
  return filter;
}

Result<QuarantineFilter> ParseFilter(const Json& wanted, const Json& limit, UnixMicros now) {
  QuarantineFilter filter;
  if (!wanted.is_object()) return Wrong("filter", "an object is wanted");
  for (const auto& [name, value] : wanted.items()) {
    if (!value.is_string()) return Wrong(Begin(name), "text is wanted");
    Status set = SetFilter(name, value.get_ref<const std::string&>(), now, &filter);
    if (!set.ok()) return set;
  }
  if (!filter.narrows()) return Wrong("filter", "one of tenant, device, reason, since is wanted");
  if (!limit.is_number_integer() || limit < 1 || limit > kMostMessages) {
    return OutOf("limit", limit.is_null() ? "nothing" : limit.dump(), kMostMessages);
  }
  filter.limit = limit.get<int64_t>();
  return filter;
}

// Strictly: of a key that is there twice, another parser takes one in silence.
Status CheckBody(const std::string& body) {
  JsonWalk walk;
  const auto check = [&walk](std::string_view, JsonWalk::Value& value) {
    JsonText text;
    return walk.Check(value, &text);
  };
  return walk.Document(body, check) ? Status::Ok() : Wrong("body", walk.problem());
}

}  // namespace

Result<QuarantineRequest> ParseList(const QueryParameters& query, UnixMicros now) {
  QuarantineRequest request;
  request.filter.limit = kPage;
  for (const auto& [name, text] : query) {
    if (query.count(name) > 1) return TwoValues(name);
    if (text.empty()) continue;
    const Status set = SetParameter(name, text, now, &request);
    if (!set.ok()) return set;
  }
  return request;
}

Result<QuarantineFilter> ParseWaiting(const QueryParameters& query,
                                      std::initializer_list<std::string_view> known) {
  for (const auto& [name, text] : query) {
    if (std::find(known.begin(), known.end(), name) == known.end()) return Unknown(name);
  }
  const Result<QuarantineRequest> request = ParseList(query, 0);
  if (!request.ok()) return request.status();
  return request->filter;
}

Status RefuseParameters(const QueryParameters& query) {
  return query.empty() ? Status::Ok() : Unknown(query.begin()->first);
}

Result<int64_t> ParseMessageId(std::string_view text) {
  const auto number = text.size() > kLongestId ? std::nullopt : ParseWholeNumber(text);
  if (!number) return Wrong("id", Begin(text) + " is no whole number");
  return *number;
}

Result<QuarantineRequest> ParseSelection(const std::string& body, UnixMicros now) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return Wrong("body", "a JSON object is wanted");
  if (Status good = CheckBody(body); !good.ok()) return good;
  const bool by_ids = json.contains("ids");
  for (const auto& [name, value] : json.items()) {
    if (by_ids ? name != "ids" : name != "filter" && name != "limit" && name != "after") {
      return Unknown(name);
    }
  }
  if (!by_ids && !json.contains("filter")) {
    return Wrong("body", "ids, or filter and limit, are wanted");
  }
  Result<QuarantineFilter> filter =
      by_ids ? ParseIds(json["ids"])
             : ParseFilter(json["filter"], json.value("limit", Json()), now);
  if (!filter.ok()) return filter.status();
  QuarantineRequest request{std::move(*filter), std::nullopt};
  if (json.contains("after")) {
    const Json& after = json["after"];
    const std::string text = after.is_string() ? after.get<std::string>() : "";
    if (Status set = SetCursor(text, &request); !set.ok()) return set;
  }
  return request;
}

std::string CursorAt(const QuarantinePosition& position) {
  return position.ingested_at + "_" + position.id;
}

}  // namespace sluice
