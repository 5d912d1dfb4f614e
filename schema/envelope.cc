#include "schema/envelope.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "schema/json_walk.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

using Type = JsonText::Type;

constexpr size_t kMaxSiteBytes = 128;

// What the walk saw of an object of metrics; judged when the whole document has been seen.
struct Metrics {
  JsonText value;
  size_t keys = 0;
  size_t longest_key = 0;  // Unicode code points
  bool empty_key = false;
  bool control_in_key = false;
  bool secret_key = false;
};

struct RawReading {
  bool is_object = true;
  JsonText ts;
  JsonText seq;
  Metrics metrics;
};

// The envelope's own fields as they were found.
struct Fields {
  JsonText version;
  JsonText tenant_id;
  JsonText device_id;
  JsonText site_id;
  JsonText provision_token;
  JsonText lat;
  JsonText latitude;
  JsonText lng;
  JsonText longitude;
  JsonText readings;
  RawReading own;  // ts, seq and metrics outside of readings
};

constexpr std::array<std::pair<std::string_view, JsonText Fields::*>, 9> kPlainFields = {{
    {"version", &Fields::version},
    {"tenant_id", &Fields::tenant_id},
    {"device_id", &Fields::device_id},
    {"site_id", &Fields::site_id},
    {"provision_token", &Fields::provision_token},
    {"lat", &Fields::lat},
    {"latitude", &Fields::latitude},
    {"lng", &Fields::lng},
    {"longitude", &Fields::longitude},
}};

size_t CountCodePoints(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// C0, DEL and C1 (which in UTF-8 is c2 80 to c2 9f).
bool HasControl(std::string_view text) {
  unsigned char previous = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (previous == 0xc2 && byte < 0xa0)) return true;
    previous = byte;
  }
  return false;
}

// nullopt unless it is a number within ±limit.
std::optional<double> Degrees(const JsonText& value, double limit) {
  if (value.type != Type::kNumber) return std::nullopt;
  double degrees = 0;
  const char* end = value.text.data() + value.text.size();
  if (std::from_chars(value.text.data(), end, degrees).ec != std::errc()) return std::nullopt;
  if (degrees < -limit || degrees > limit) return std::nullopt;
  return degrees;
}

// "90061.000001 s old, at most 86400.000000 s are allowed".
std::string Compared(int64_t micros, int64_t limit, const char* what) {
  constexpr double kMicrosPerSecond = 1e6;
  return std::to_string(static_cast<double>(micros) / kMicrosPerSecond) + " s " + what +
         ", at most " + std::to_string(static_cast<double>(limit) / kMicrosPerSecond) +
         " s are allowed";
}

std::optional<std::string_view> StringOf(const JsonText& value) {
  if (value.type != Type::kString) return std::nullopt;
  return value.text;
}

}  // namespace

struct EnvelopeDecoder::Impl {
  // Check 3, and where everything is.
  bool Walk(std::string_view payload);
  bool WalkField(std::string_view key, JsonWalk::Value& value);
  bool WalkReading(JsonWalk::Value& value);
  bool WalkReadingField(std::string_view key, JsonWalk::Value& value, RawReading* reading);
  bool WalkMetrics(JsonWalk::Value& value, Metrics* metrics);

  // Checks 4 to 8.
  bool Judge(std::string_view tenant, std::string_view device);
  bool JudgeVersion();
  bool JudgeSame(const JsonText& given, std::string_view name, std::string_view expected,
                 Reason reason);
  bool JudgeSite();
  bool JudgeShape();
  bool JudgeMetrics(const RawReading& raw);
  bool JudgeSeq(const RawReading& raw, int64_t* seq);
  bool JudgeTime(const RawReading& raw, UnixMicros received, const DecodeLimits& limits,
                 UnixMicros* time);
  bool FillReadings(UnixMicros received, const DecodeLimits& limits, std::vector<Reading>* out);
  void FillLocation(Envelope* envelope) const;

  bool Reject(Reason reason, std::string detail);
  std::string Where(const RawReading& raw) const;

  JsonWalk walk;
  Fields fields;
  std::vector<RawReading> readings;  // reused: the first readings_seen are this message's
  size_t readings_seen = 0;          // may be more than are kept
  bool is_jsonb = false;
  DecodeFailure* failure = nullptr;
};

bool EnvelopeDecoder::Impl::Walk(std::string_view payload) {
  fields = {};
  readings_seen = 0;
  is_jsonb = walk.Document(payload, [this](std::string_view key, JsonWalk::Value& value) {
    return WalkField(key, value);
  });
  return is_jsonb || Reject(Reason::kInvalidJson, walk.problem());
}

bool EnvelopeDecoder::Impl::WalkField(std::string_view key, JsonWalk::Value& value) {
  if (key == "readings") {
    return walk.Array(value, &fields.readings,
                      [this](JsonWalk::Value& element) { return WalkReading(element); });
  }
  for (const auto& [name, field] : kPlainFields) {
    if (key == name) return walk.Check(value, &(fields.*field));
  }
  return WalkReadingField(key, value, &fields.own);
}

bool EnvelopeDecoder::Impl::WalkReading(JsonWalk::Value& value) {
  if (++readings_seen > readings.size() && readings.size() < kMaxReadings) readings.emplace_back();
  RawReading surplus;
  RawReading& reading = readings_seen > kMaxReadings ? surplus : readings[readings_seen - 1];
  reading = {};
  JsonText whole;
  const bool ok = walk.Object(value, &whole, [&](std::string_view key, JsonWalk::Value& field) {
    return WalkReadingField(key, field, &reading);
  });
  reading.is_object = whole.type == Type::kObject;
  return ok;
}

bool EnvelopeDecoder::Impl::WalkReadingField(std::string_view key, JsonWalk::Value& value,
                                             RawReading* reading) {
  if (key == "metrics") return WalkMetrics(value, &reading->metrics);
  if (key == "ts") return walk.Check(value, &reading->ts);
  if (key == "seq") return walk.Check(value, &reading->seq);
  JsonText ignored;
  return walk.Check(value, &ignored);
}

bool EnvelopeDecoder::Impl::WalkMetrics(JsonWalk::Value& value, Metrics* metrics) {
  const size_t secrets_before = walk.secret_keys();
  const bool ok =
      walk.Object(value, &metrics->value, [&](std::string_view key, JsonWalk::Value& metric) {
        ++metrics->keys;
        if (key.size() > metrics->longest_key) {
          metrics->longest_key = std::max(metrics->longest_key, CountCodePoints(key));
        }
        metrics->empty_key |= key.empty();
        metrics->control_in_key |= HasControl(key);
        JsonText ignored;
        return walk.Check(metric, &ignored);
      });
  metrics->secret_key = walk.secret_keys() != secrets_before;
  return ok;
}

bool EnvelopeDecoder::Impl::Reject(Reason reason, std::string detail) {
  failure->reason = reason;
  failure->detail = std::move(detail);
  return false;
}

// "" for the envelope's own fields, else "readings[3]: ".
std::string EnvelopeDecoder::Impl::Where(const RawReading& raw) const {
  if (&raw == &fields.own) return {};
  return "readings[" + std::to_string(&raw - readings.data()) + "]: ";
}

bool EnvelopeDecoder::Impl::Judge(std::string_view tenant, std::string_view device) {
  return JudgeVersion() &&
         JudgeSame(fields.tenant_id, "tenant_id", tenant, Reason::kTenantMismatch) &&
         JudgeSame(fields.device_id, "device_id", device, Reason::kDeviceMismatch) && JudgeSite() &&
         JudgeShape();
}

bool EnvelopeDecoder::Impl::JudgeVersion() {
  const JsonText& version = fields.version;
  const bool text_or_number = version.type == Type::kString || version.type == Type::kNumber;
  if (!version.given() || (text_or_number && version.text == "1")) return true;
  return Reject(Reason::kUnsupportedEnvelopeVersion, "version is not \"1\"");
}

bool EnvelopeDecoder::Impl::JudgeSame(const JsonText& given, std::string_view name,
                                      std::string_view expected, Reason reason) {
  if (!given.given() || (given.type == Type::kString && given.text == expected)) return true;
  return Reject(
      reason, std::string(name) +
                  (given.type == Type::kString ? " differs from the topic's" : " is not a string"));
}

bool EnvelopeDecoder::Impl::JudgeSite() {
  const JsonText& site = fields.site_id;
  const char* problem = nullptr;
  if (site.type == Type::kAbsent) {
    problem = "site_id is missing";
  } else if (site.type == Type::kNull) {
    problem = "site_id is null";
  } else if (site.type != Type::kString) {
    problem = "site_id is not a string";
  } else if (site.text.empty()) {
    problem = "site_id is empty";
  } else if (site.text.size() > kMaxSiteBytes) {
    problem = "site_id is longer than 128 bytes";
  } else if (HasControl(site.text)) {
    problem = "site_id holds a control character";
  }
  return problem == nullptr || Reject(Reason::kMissingSiteId, problem);
}

// Whether the message is one reading or many, and every reading's metrics.
bool EnvelopeDecoder::Impl::JudgeShape() {
  if (!fields.readings.given()) return JudgeMetrics(fields.own);
  if (fields.readings.type != Type::kArray) {
    return Reject(Reason::kMetricsInvalid, "readings is not an array");
  }
  if (fields.own.metrics.value.given()) {
    return Reject(Reason::kMetricsInvalid, "metrics and readings exclude each other");
  }
  if (readings_seen == 0) return Reject(Reason::kMetricsInvalid, "readings is empty");
  if (readings_seen > kMaxReadings) {
    return Reject(Reason::kMetricsInvalid, "readings has " + std::to_string(readings_seen) +
                                               " elements, at most " +
                                               std::to_string(kMaxReadings) + " are allowed");
  }
  return std::all_of(readings.begin(), readings.begin() + static_cast<ptrdiff_t>(readings_seen),
                     [this](const RawReading& raw) { return JudgeMetrics(raw); });
}

bool EnvelopeDecoder::Impl::JudgeMetrics(const RawReading& raw) {
  const Metrics& metrics = raw.metrics;
  if (!raw.is_object) return Reject(Reason::kMetricsInvalid, Where(raw) + "is not an object");
  if (metrics.value.given() && metrics.value.type != Type::kObject) {
    return Reject(Reason::kMetricsInvalid, Where(raw) + "metrics is not an object");
  }
  if (metrics.keys > kMaxMetrics) {
    return Reject(Reason::kTooManyMetrics, Where(raw) + "metrics has " +
                                               std::to_string(metrics.keys) + " keys, at most " +
                                               std::to_string(kMaxMetrics) + " are allowed");
  }
  if (metrics.longest_key > kMaxMetricKeyChars) {
    return Reject(Reason::kMetricKeyTooLong,
                  Where(raw) + "a key of metrics has " + std::to_string(metrics.longest_key) +
                      " characters, at most " + std::to_string(kMaxMetricKeyChars) +
                      " are allowed");
  }
  const char* problem = metrics.empty_key        ? "a key of metrics is empty"
                        : metrics.control_in_key ? "a key of metrics holds a control character"
                        : metrics.secret_key     ? "provision_token stands inside metrics"
                                                 : nullptr;
  return problem == nullptr || Reject(Reason::kMetricKeyInvalid, Where(raw) + problem);
}

// Leaves *seq alone when the reading has none of its own.
bool EnvelopeDecoder::Impl::JudgeSeq(const RawReading& raw, int64_t* seq) {
  if (!raw.seq.given()) return true;
  const std::string_view text = raw.seq.text;
  const char* end = text.data() + text.size();
  if (raw.seq.type == Type::kNumber) {
    const auto [stop, error] = std::from_chars(text.data(), end, *seq);
    if (error == std::errc() && stop == end) return true;
  }
  return Reject(Reason::kSeqInvalid, Where(raw) + "seq is not an integer of 64 bits");
}

// Leaves *time alone when the reading has none of its own.
bool EnvelopeDecoder::Impl::JudgeTime(const RawReading& raw, UnixMicros received,
                                      const DecodeLimits& limits, UnixMicros* time) {
  if (!raw.ts.given()) return true;
  std::optional<UnixMicros> parsed;
  if (raw.ts.type == Type::kString) parsed = ParseIso8601(raw.ts.text);
  if (raw.ts.type == Type::kNumber) parsed = ParseEpoch(raw.ts.text);
  if (!parsed) {
    return Reject(Reason::kTimestampInvalid,
                  Where(raw) + "ts is neither an ISO 8601 string nor a number since 1970");
  }
  const int64_t age = received - *parsed;
  if (age > limits.ts_max_age_us) {
    return Reject(Reason::kTimestampOutOfRange,
                  Where(raw) + "ts is " + Compared(age, limits.ts_max_age_us, "old"));
  }
  if (-age > limits.ts_max_ahead_us) {
    return Reject(Reason::kTimestampOutOfRange,
                  Where(raw) + "ts is " + Compared(-age, limits.ts_max_ahead_us, "ahead"));
  }
  *time = *parsed;
  return true;
}

bool EnvelopeDecoder::Impl::FillReadings(UnixMicros received, const DecodeLimits& limits,
                                         std::vector<Reading>* out) {
  const bool many = fields.readings.given();
  Reading own{.time = received};
  const JsonText& metrics = fields.own.metrics.value;
  if (metrics.given()) own.metrics = metrics.text;
  if (!JudgeSeq(fields.own, &own.seq)) return false;
  out->assign(many ? readings_seen : 1, own);
  for (size_t i = 0; many && i < readings_seen; ++i) {
    if (!JudgeSeq(readings[i], &(*out)[i].seq)) return false;
  }
  if (!JudgeTime(fields.own, received, limits, &own.time)) return false;
  if (!many) {
    out->front().time = own.time;
    return true;
  }
  for (size_t i = 0; i < readings_seen; ++i) {
    Reading& reading = (*out)[i];
    reading.time = own.time;
    if (!JudgeTime(readings[i], received, limits, &reading.time)) return false;
    if (readings[i].metrics.value.given()) reading.metrics = readings[i].metrics.value.text;
  }
  return true;
}

void EnvelopeDecoder::Impl::FillLocation(Envelope* envelope) const {
  const auto latitude = Degrees(fields.lat.given() ? fields.lat : fields.latitude, 90);
  const auto longitude = Degrees(fields.lng.given() ? fields.lng : fields.longitude, 180);
  const bool both = latitude && longitude;
  envelope->latitude = both ? latitude : std::nullopt;
  envelope->longitude = both ? longitude : std::nullopt;
}

EnvelopeDecoder::EnvelopeDecoder() : impl_(std::make_unique<Impl>()) {}
EnvelopeDecoder::~EnvelopeDecoder() = default;
EnvelopeDecoder::EnvelopeDecoder(EnvelopeDecoder&&) noexcept = default;
EnvelopeDecoder& EnvelopeDecoder::operator=(EnvelopeDecoder&&) noexcept = default;

bool EnvelopeDecoder::Decode(std::string_view payload, std::string_view topic_tenant,
                             std::string_view topic_device, UnixMicros received,
                             const DecodeLimits& limits, Envelope* envelope,
                             DecodeFailure* failure) {
  impl_->failure = failure;
  if (!impl_->Walk(payload) || !impl_->Judge(topic_tenant, topic_device) ||
      !impl_->FillReadings(received, limits, &envelope->readings)) {
    return false;
  }
  envelope->site_id = impl_->fields.site_id.text;
  envelope->provision_token = provision_token();
  impl_->FillLocation(envelope);
  return true;
}

bool EnvelopeDecoder::payload_is_jsonb() const {
  return impl_->is_jsonb;
}

std::optional<std::string_view> EnvelopeDecoder::provision_token() const {
  if (!impl_->is_jsonb) return std::nullopt;
  return StringOf(impl_->fields.provision_token);
}

}  // namespace sluice
