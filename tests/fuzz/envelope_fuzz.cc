// Any bytes as a payload. What the decoder holds for valid JSON, another parser accepts too, and
// every row it makes is one that PostgreSQL could take.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/escape.h"
#include "schema/envelope.h"
#include "tests/fuzz/check.h"

namespace {

using nlohmann::json;

constexpr sluice::UnixMicros kReceived = 1'772'359'200'000'000;  // 2026-03-01T10:00:00Z
constexpr int64_t kDay = 86'400'000'000;

// Refuses what jsonb would change or refuse: a key twice, \u0000, more depth than agreed.
bool IsForJsonb(std::string_view text) {
  std::vector<std::set<std::string>> open;
  bool good = true;
  const auto seen = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end) open.pop_back();
    if (event == json::parse_event_t::key) {
      good &= open.back().insert(parsed.get<std::string>()).second;
    }
    if (parsed.is_string()) good &= parsed.get<std::string>().find('\0') == std::string::npos;
    good &= depth <= sluice::kMaxJsonDepth;
    return true;
  };
  good &= text.find('\0') == std::string_view::npos;  // the parser takes it for the end
  return json::parse(text, seen, false).is_object() && good;
}

void CheckReading(const sluice::Reading& reading) {
  FUZZ_CHECK(reading.time >= kReceived - kDay && reading.time <= kReceived + kDay);
  const json metrics = json::parse(reading.metrics, nullptr, false);
  FUZZ_CHECK(metrics.is_object());
  FUZZ_CHECK(metrics.size() <= sluice::kMaxMetrics);
  FUZZ_CHECK(reading.metrics.front() == '{' && reading.metrics.back() == '}');
  for (const auto& [key, value] : metrics.items()) FUZZ_CHECK(!key.empty());
  FUZZ_CHECK(!metrics.contains("provision_token"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string payload(reinterpret_cast<const char*>(data), size);
  static sluice::EnvelopeDecoder reused;
  static sluice::Envelope envelope;
  sluice::DecodeFailure failure;
  const sluice::DecodeLimits limits{.ts_max_age_us = kDay, .ts_max_ahead_us = kDay};
  const bool accepted =
      reused.Decode(payload, "orchard", "probe-7", kReceived, limits, &envelope, &failure);

  if (reused.payload_is_jsonb()) {
    FUZZ_CHECK(sluice::IsValidUtf8(payload));
    FUZZ_CHECK(IsForJsonb(payload));
  } else {
    FUZZ_CHECK(!accepted && failure.reason == sluice::Reason::kInvalidJson);
    FUZZ_CHECK(!reused.provision_token());
  }
  if (!accepted) {
    FUZZ_CHECK(!failure.detail.empty());
    return 0;
  }
  const json whole = json::parse(payload, nullptr, false);
  FUZZ_CHECK(whole.at("site_id") == std::string(envelope.site_id));
  FUZZ_CHECK(!envelope.readings.empty());
  for (const sluice::Reading& reading : envelope.readings) CheckReading(reading);
  FUZZ_CHECK(envelope.latitude.has_value() == envelope.longitude.has_value());
  if (envelope.latitude) {
    FUZZ_CHECK(std::abs(*envelope.latitude) <= 90 && std::abs(*envelope.longitude) <= 180);
  }
  if (envelope.provision_token) {
    FUZZ_CHECK(whole.at("provision_token") == std::string(*envelope.provision_token));
  }
  return 0;
}
