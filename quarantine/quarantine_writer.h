// What is written about a message that was not accepted.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "auth/digest.h"
#include "base/clock.h"
#include "schema/reason.h"

namespace sluice {

// In identity_proof: a stamp came that no key had made.
inline constexpr std::string_view kForgedProof = "forged";

// One rejected message. Views need to live only during Add.
struct QuarantineEntry {
  std::string_view topic;
  std::string_view tenant;  // empty: the topic did not say (stored as NULL)
  std::string_view device;
  std::string_view msg_type;
  std::string_view site_id;      // empty: unknown
  std::string_view payload;      // as it arrived; secrets are cut here
  bool payload_is_json = false;  // jsonb can hold it unchanged
  Reason reason = Reason::kInvalidJson;
  std::string_view detail;
  std::string_view identity;  // whom a genuine stamp names; empty: none
  std::string_view
      identity_proof;  // its method, or kForgedProof; empty: it had no stamp, or unread
  std::optional<Sha256Digest> token;
  std::optional<UnixMicros> event_time;
  UnixMicros received = 0;
  uint64_t seq = 0;  // in the spool
};

// The quarantine's part of one transaction: tuples for COPY and the minute's counters. Not
// thread-safe; each worker has one and reuses it.
class QuarantineBatch {
 public:
  // Columns of the tuples, in order, for COPY quarantine_events (…).
  static constexpr std::string_view kColumns =
      "event_ts, topic, tenant_id, site_id, device_id, msg_type, reason, payload, received_at, "
      "detail, payload_bytes, payload_size, payload_truncated, identity, identity_proof, "
      "token_hash, "
      "spool_id, spool_seq";

  // `spool_id` is the 16 bytes of the spool's uuid. Payloads are kept up to `max_payload_bytes`.
  QuarantineBatch(std::string spool_id, size_t max_payload_bytes)
      : spool_id_(std::move(spool_id)), max_payload_bytes_(max_payload_bytes) {}

  void Clear();
  // Counts the message; `store` also keeps it whole.
  void Add(const QuarantineEntry& entry, bool store);

  // Tuples without COPY's header and trailer; empty when nothing is to be stored.
  const std::string& tuples() const { return tuples_; }
  struct Count {
    int64_t messages = 0;
    int64_t withheld = 0;  // of them, not stored
    friend bool operator==(const Count&, const Count&) = default;
  };
  // (minute as Unix microseconds, tenant, reason) → messages. Ordered, so that transactions side by
  // side lock the counters' rows in the same order.
  using Counters = std::map<std::tuple<UnixMicros, std::string, Reason>, Count>;
  const Counters& counters() const { return counters_; }

 private:
  const std::string spool_id_;
  const size_t max_payload_bytes_;
  std::string tuples_;
  Counters counters_;
};

}  // namespace sluice
