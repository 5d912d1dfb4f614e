#include "ingest/explanation.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "ingest/part_options.h"
#include "ingest/telemetry_copy.h"
#include "schema/secrets.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostShown = 120;  // bytes of a value

std::string Number(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%g", value);
  return text.data();
}

// What there is to see of one message.
class Sight {
 public:
  Sight(const Batch& batch, const ExplanationContext& context)
      : message_(batch.messages.front()),
        batch_(batch),
        context_(context),
        settings_(context.settings),
        limits_(context.limits) {
    const SpoolRecord& record = *message_.record;
    // Either way: what it says of the payload is wanted even when a check refuses it.
    decoded_ = decoder_.Decode(record.payload, message_.topic.tenant, message_.topic.device,
                               record.received, PipelineOptionsFrom(settings_).decode, &envelope_,
                               &failure_);
    if (const auto token = decoder_.provision_token(); token && *token != kCutTokenValue) {
      token_ = *token;
    }
    if (message_.payload_is_json)
      document_ = Json::parse(CutSecrets(record.payload), nullptr, false);
  }

  std::string Sender() const;
  std::string Size() const;
  std::string Object() const;
  std::string Version() const { return "version" + OrNone("version"); }
  std::string Names() const;
  std::string Site() const { return "site_id" + OrNone("site_id"); }
  std::string Shape() const;
  std::string Time() const;
  std::string Registered() const;
  std::string Plan() const;
  std::string Active() const { return message_.device->active ? "ACTIVE" : "another"; }
  std::string Sites() const { return Hidden(DescribeSites(message_, batch_)); }
  std::string Stamp() const;
  std::string Proof() const;
  std::string Rate() const;
  std::string Storage() const { return "nothing is written here, so it was not tried"; }

  // What the settings do not ask of this message, and what asking would change.
  bool Asked(const Check& check) const;
  std::vector<Explanation::Row> Rows() const;
  std::string Hidden(std::string text) const;

 private:
  const Json* Field(const char* name) const;
  std::string Shown(const Json& value) const;
  std::string OrNone(const char* name) const;

  const Message& message_;
  const Batch& batch_;
  const ExplanationContext& context_;
  const Settings& settings_;
  const RuntimeSettings& limits_;
  EnvelopeDecoder decoder_;
  Envelope envelope_;
  DecodeFailure failure_;
  bool decoded_ = false;
  std::string token_;
  Json document_;
};

std::string Sight::Hidden(std::string text) const {
  if (token_.empty()) return text;
  for (size_t at = 0; (at = text.find(token_, at)) != std::string::npos;) {
    text.replace(at, token_.size(), kCutTokenValue);
    at += kCutTokenValue.size();
  }
  return text;
}

const Json* Sight::Field(const char* name) const {
  if (!document_.is_object()) return nullptr;
  const auto found = document_.find(name);
  return found == document_.end() || found->is_null() ? nullptr : &*found;
}

std::string Sight::Shown(const Json& value) const {
  std::string text =
      Hidden(value.is_string() ? value.get<std::string>()
                               : value.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (text.size() > kMostShown) text = text.substr(0, kMostShown) + "…";
  return text;
}

std::string Sight::OrNone(const char* name) const {
  const Json* const value = Field(name);
  return value == nullptr ? ": none" : " " + Shown(*value);
}

std::string Sight::Sender() const {
  if (message_.topic.tenant.empty()) return Hidden(std::string(message_.record->topic));
  return "tenant " + std::string(message_.topic.tenant) + ", device " +
         std::string(message_.topic.device) + ", type " + std::string(message_.topic.msg_type);
}

std::string Sight::Size() const {
  return FormatCount(context_.payload_size, "byte") + ", at most " +
         std::to_string(limits_.max_payload_bytes.load());
}

std::string Sight::Object() const {
  return document_.is_object() ? "an object of " + FormatCount(document_.size(), "key") : "";
}

std::string Sight::Names() const {
  std::string seen;
  for (const char* name : {"tenant_id", "device_id"}) {
    if (const Json* const value = Field(name)) {
      seen += (seen.empty() ? "" : ", ") + (name + (" " + Shown(*value)));
    }
  }
  return seen.empty() ? "it names neither" : seen;
}

std::string Sight::Shape() const {
  if (const Json* const readings = Field("readings"); readings != nullptr && readings->is_array()) {
    return FormatCount(readings->size(), "reading");
  }
  const Json* const metrics = Field("metrics");
  const bool object = metrics != nullptr && metrics->is_object();
  std::string seen = metrics == nullptr ? "no metrics"
                     : object           ? FormatCount(metrics->size(), "metric")
                                        : "metrics " + Shown(*metrics);
  return seen + ", seq" + OrNone("seq");
}

std::string Sight::Time() const {
  std::string seen = "ts" + OrNone("ts");
  if (message_.event_time) seen += ", read as " + FormatIso8601(*message_.event_time);
  return seen + ", arrived " + FormatIso8601(message_.record->received);
}

std::string Sight::Registered() const {
  if (context_.provisioned)
    return "not registered; AUTO_PROVISION would add it at the payload's site";
  if (message_.device) return "registered";
  if (!settings_.auto_provision) return "not registered";
  return message_.rejection->reason == Reason::kNoSubscriptionCapacity
             ? "not registered, and no subscription of the tenant has room"
             : "not registered, and AUTO_PROVISION adds nobody whose sender is not proven";
}

std::string Sight::Plan() const {
  if (context_.provisioned) return "the tenant's, which has room";
  if (!context_.subscription) return "none";
  const SubscriptionSeen& seen = *context_.subscription;
  if (!seen.exists) return seen.id + ", which is not there";
  return seen.id + ", of type " + seen.type + ": " + seen.status;
}

std::string Sight::Stamp() const {
  switch (message_.stamped) {
    case Stamped::kNo:
      return "no stamp";
    case Stamped::kUnread:
      return "a stamp, which is not looked at: STAMP_KEY_FILE is not set";
    case Stamped::kForged:
      return "a stamp that no key has made for this message";
    case Stamped::kGenuine:
      break;
  }
  return DescribeSender(message_);
}

std::string Sight::Proof() const {
  const DeviceRecord& device = *message_.device;
  std::string seen = settings_.cert_auth_enabled
                         ? FormatCount(device.certificates.size(), "ACTIVE certificate") + "; "
                         : "certificates are not looked at; ";
  const bool by_stamp = settings_.identity_mode == IdentityMode::kStamp && message_.claim;
  if (by_stamp && message_.claim->method == StampMethod::kCert) seen += "sent with a certificate; ";
  if (by_stamp && message_.claim->method == StampMethod::kToken)
    seen += "logged in with the token; ";
  seen += message_.token ? "a token in the payload, " : "no token in the payload, ";
  return seen + (device.token_hash ? "one in the registry" : "none in the registry");
}

std::string Sight::Rate() const {
  return "nothing is spent here; " + Number(limits_.rate_limit_rps) + " a second, " +
         Number(limits_.rate_limit_burst) + " at once";
}

bool Sight::Asked(const Check& check) const {
  switch (check.first) {
    case Reason::kIdentityMissing:
      return settings_.identity_mode == IdentityMode::kStamp ||
             message_.stamped == Stamped::kForged || message_.stamped == Stamped::kGenuine;
    case Reason::kCertNotActive:
      return settings_.require_token || settings_.cert_auth_enabled;
    case Reason::kRateLimited:
    case Reason::kStorageRejected:
      return false;
    default:
      return true;
  }
}

std::vector<Explanation::Row> Sight::Rows() const {
  std::vector<Explanation::Row> rows;
  if (!decoded_) return rows;
  for (const Reading& reading : envelope_.readings) {
    rows.push_back({{"time", FormatIso8601(reading.time)},
                    {"tenant_id", std::string(message_.topic.tenant)},
                    {"device_id", std::string(message_.topic.device)},
                    {"site_id", Hidden(std::string(envelope_.site_id))},
                    {"msg_type", std::string(message_.topic.msg_type)},
                    {"seq", std::to_string(reading.seq)},
                    {"metrics", Hidden(std::string(reading.metrics))},
                    {"received_at", FormatIso8601(message_.record->received)}});
  }
  return rows;
}

// In the order of AllChecks().
using See = std::string (Sight::*)() const;
constexpr std::array<See, kCheckCount> kSee = {
    &Sight::Sender,     &Sight::Size,  &Sight::Object, &Sight::Version,
    &Sight::Names,      &Sight::Site,  &Sight::Shape,  &Sight::Time,
    &Sight::Registered, &Sight::Plan,  &Sight::Active, &Sight::Sites,
    &Sight::Stamp,      &Sight::Proof, &Sight::Rate,   &Sight::Storage};

// The check that refused, or the one behind the last.
int LastReached(const Message& message) {
  return message.accepted() ? static_cast<int>(kCheckCount) + 1
                            : CheckOf(message.rejection->reason).number;
}

std::string Joined(const std::string& seen, const std::string& detail) {
  if (seen == detail) return seen;
  return seen.empty() || detail.empty() ? seen + detail : seen + ": " + detail;
}

CheckSeen Seen(const Check& check, const Message& message, const Sight& sight) {
  const int last = LastReached(message);
  if (check.number > last) return {&check, CheckVerdict::kNotReached, ""};
  const std::string saw = (sight.*kSee[static_cast<size_t>(check.number) - 1])();
  if (check.number == last) {
    return {&check, CheckVerdict::kRefused,
            Joined(sight.Hidden(saw), sight.Hidden(message.rejection->detail))};
  }
  return {&check, sight.Asked(check) ? CheckVerdict::kPassed : CheckVerdict::kNotAsked, saw};
}

}  // namespace

std::string_view VerdictName(CheckVerdict verdict) {
  constexpr std::array<std::string_view, 4> kNames = {"passed", "refused", "not reached",
                                                      "not asked"};
  return kNames[static_cast<size_t>(verdict)];
}

Explanation ExplainMessage(const Batch& batch, const ExplanationContext& context) {
  const Sight sight(batch, context);
  const Message& message = batch.messages.front();
  Explanation explanation;
  for (const Check& check : AllChecks()) {
    explanation.checks.push_back(Seen(check, message, sight));
  }
  if (message.accepted()) {
    explanation.rows = sight.Rows();
    if (message.MovesDevice()) {
      explanation.notes.emplace_back(
          "The device's place in device_registry would be the payload's.");
    }
    return explanation;
  }
  explanation.reason = message.rejection->reason;
  explanation.detail = sight.Hidden(message.rejection->detail);
  if (!context.limits.store_rejects) {
    explanation.notes.emplace_back("STORE_REJECTS is 0: it would only be counted, not kept.");
  }
  return explanation;
}

}  // namespace sluice
