// Envelope: what a device's payload says, decoded and fully validated in one pass.
//
//   {"site_id": "north", "ts": "2026-03-01T10:00:00Z", "seq": 4, "metrics": {"heat": 21.5},
//    "version": "1", "tenant_id": "orchard", "device_id": "probe-7", "provision_token": "…",
//    "lat": 45.5, "lng": 7.25, "readings": [{"ts": …, "seq": …, "metrics": {…}}, …]}
//
// Only site_id is required. With `readings`, each reading's missing ts or seq falls back to the
// envelope's own; `metrics` at the top is then not allowed together with it. Unknown fields are
// allowed and ignored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "schema/reason.h"

namespace sluice {

inline constexpr int kMaxJsonDepth = 32;
inline constexpr size_t kMaxMetrics = 50;
inline constexpr size_t kMaxMetricKeyChars = 128;  // Unicode code points
inline constexpr size_t kMaxReadings = 1000;
// A JSON number's text; PostgreSQL's numeric expands exponents, so these are bounded too.
inline constexpr size_t kMaxNumberChars = 64;
inline constexpr int kMaxNumberExponent = 308;

// One row of telemetry to be. `metrics` is the object's JSON text as the device wrote it, valid for
// jsonb, or "{}" when absent. Views point into the decoder's buffer.
struct Reading {
  UnixMicros time = 0;
  int64_t seq = 0;
  std::string_view metrics = "{}";
};

// Views point into the decoder's buffers and live until its next Decode.
struct Envelope {
  std::string_view site_id;
  std::optional<std::string_view> provision_token;
  std::optional<double> latitude;  // both or neither; finite and within ±90 / ±180
  std::optional<double> longitude;
  std::vector<Reading> readings;  // at least one
};

// Why a payload was not accepted, with a short sentence for the operator (no payload text in it
// but names of known fields).
struct DecodeFailure {
  Reason reason = Reason::kInvalidJson;
  std::string detail;
};

struct DecodeLimits {
  int64_t ts_max_age_us = 0;    // TS_MAX_AGE
  int64_t ts_max_ahead_us = 0;  // TS_MAX_AHEAD
};

// Reusable, not thread-safe: each worker owns one. Copies the payload into a zero-padded buffer of
// its own (simdjson reads past the end, and bytes there must not make bad input pass).
class EnvelopeDecoder {
 public:
  EnvelopeDecoder();
  ~EnvelopeDecoder();
  EnvelopeDecoder(EnvelopeDecoder&&) noexcept;
  EnvelopeDecoder& operator=(EnvelopeDecoder&&) noexcept;

  // Checks 3 to 8 of the design, in that order; first failure wins. `received` is the time a
  // reading without ts gets, and what TS_MAX_AGE and TS_MAX_AHEAD are measured from. Returns true
  // and fills *envelope, or false and fills *failure.
  bool Decode(std::string_view payload, std::string_view topic_tenant,
              std::string_view topic_device, UnixMicros received, const DecodeLimits& limits,
              Envelope* envelope, DecodeFailure* failure);

  // After Decode (either outcome): true when the payload is one JSON document that jsonb can hold
  // unchanged (check 3 passed).
  bool payload_is_jsonb() const;
  // After Decode: the provision token if one could be found in a valid document, even when a later
  // check failed. For the quarantine's token hash.
  std::optional<std::string_view> provision_token() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
