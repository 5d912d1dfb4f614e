#include "quarantine/quarantine_writer.h"

#include "base/escape.h"
#include "base/pg_copy.h"
#include "schema/secrets.h"

namespace sluice {
namespace {

constexpr int kFields = 18;           // of QuarantineBatch::kColumns
constexpr size_t kMaxCounters = 500;  // rows of one batch; then the tenant is left out
// jsonb must hold something: the column was NOT NULL in the old service and stays so.
constexpr std::string_view kJsonNull = "null";

// PostgreSQL's text takes valid UTF-8 without NUL; anything else is shown escaped.
std::string StorableText(std::string_view text) {
  const bool storable = text.find('\0') == std::string_view::npos && IsValidUtf8(text);
  return storable ? std::string(text) : Escaped(text);
}

void PutText(CopyEncoder& copy, std::string_view text) {
  if (text.empty()) {
    copy.Null();
  } else {
    copy.Text(StorableText(text));
  }
}

}  // namespace

void QuarantineBatch::Clear() {
  tuples_.clear();
  counters_.clear();
}

void QuarantineBatch::Add(const QuarantineEntry& entry, bool store) {
  constexpr UnixMicros kMinute = 60'000'000;
  const UnixMicros minute = entry.received - entry.received % kMinute;
  Counters::key_type key{minute, std::string(entry.tenant), entry.reason};
  // Whoever invents tenants is counted, too, but not under every name.
  if (counters_.size() >= kMaxCounters && !counters_.contains(key)) std::get<1>(key).clear();
  Count& count = counters_[key];
  ++count.messages;
  if (!store) {
    ++count.withheld;
    return;
  }

  const std::string cut = CutSecrets(entry.payload);
  const bool truncated = cut.size() > max_payload_bytes_;
  const std::string_view kept = std::string_view(cut).substr(0, max_payload_bytes_);

  CopyEncoder copy(&tuples_);
  copy.Tuple(kFields);
  if (entry.event_time) {
    copy.Timestamp(*entry.event_time);
  } else {
    copy.Null();
  }
  copy.Text(StorableText(entry.topic));
  PutText(copy, entry.tenant);
  PutText(copy, entry.site_id);
  PutText(copy, entry.device);
  PutText(copy, entry.msg_type);
  copy.Text(ReasonName(entry.reason));
  copy.Jsonb(entry.payload_is_json && !truncated ? kept : kJsonNull);
  copy.Timestamp(entry.received);
  PutText(copy, entry.detail);
  copy.Text(kept);
  copy.Integer(static_cast<int32_t>(entry.payload.size()));
  copy.Boolean(truncated);
  PutText(copy, entry.identity);
  PutText(copy, entry.identity_proof);
  if (entry.token) {
    copy.Text(DigestToHex(*entry.token));
  } else {
    copy.Null();
  }
  copy.Uuid(spool_id_);
  copy.Bigint(static_cast<int64_t>(entry.seq));
}

}  // namespace sluice
