// A message as quarantine_events has kept it, for those who judge it again.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/postgres.h"
#include "ingest/pipeline.h"

namespace sluice {

// What kKeptSql selects.
struct KeptColumns {
  enum : int {
    kId,
    kIngestedAt,
    kReceived,  // microseconds since 1970
    kTopic,
    kIdentity,
    kProof,
    kTokenHash,
    kPayloadSize,
    kReason,
    kDetail,
    kPayload,  // in hexadecimal; null: not kept whole
  };
};
// "SELECT … FROM quarantine_events WHERE "; a condition is to follow.
extern const char* const kKeptSql;

// Whom the broker knew as the sender, and how: "cert:FINGERPRINT", "token", "account" or "forged".
// Without a word about how, the identity proves the name and neither certificate nor token. The
// arrival keeps a view of the identity.
void SetSender(std::optional<std::string_view> identity, std::string_view proof, Arrival* arrival);

// Of a row; views into it. `payload_size`: of what is kept of it.
Arrival ArrivalOf(const PgRows& rows, int row, size_t payload_size);

}  // namespace sluice
