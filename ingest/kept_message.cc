#include "ingest/kept_message.h"

#include "quarantine/quarantine_writer.h"

namespace sluice {

// Rows of the old service have their payload as jsonb only.
const char* const kKeptSql = R"sql(
SELECT id, to_char(ingested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       (extract(epoch FROM coalesce(received_at, ingested_at)) * 1000000)::bigint,
       topic, identity, identity_proof, token_hash, payload_size, reason, detail,
       CASE WHEN payload_truncated THEN NULL
            WHEN payload_bytes IS NOT NULL THEN encode(payload_bytes, 'hex')
            WHEN jsonb_typeof(payload) = 'null' THEN NULL
            ELSE encode(convert_to(payload::text, 'UTF8'), 'hex') END
  FROM quarantine_events
 WHERE )sql";

void SetSender(std::optional<std::string_view> identity, std::string_view proof, Arrival* arrival) {
  if (proof == kForgedProof) {
    arrival->stamped = Stamped::kForged;
  } else if (identity) {
    arrival->stamped = Stamped::kGenuine;
    arrival->claim = StampClaim{StampMethod::kAccount, *identity};
    (void)ParseStampMethod(proof, &*arrival->claim);
  }
}

Arrival ArrivalOf(const PgRows& rows, int row, size_t payload_size) {
  Arrival arrival;
  arrival.token = DigestFromHex(rows.Text(row, KeptColumns::kTokenHash));
  arrival.payload_size = rows.IsNull(row, KeptColumns::kPayloadSize)
                             ? payload_size
                             : static_cast<size_t>(rows.Int(row, KeptColumns::kPayloadSize));
  std::optional<std::string_view> identity;
  if (!rows.IsNull(row, KeptColumns::kIdentity)) identity = rows.Text(row, KeptColumns::kIdentity);
  SetSender(identity, rows.Text(row, KeptColumns::kProof), &arrival);
  return arrival;
}

}  // namespace sluice
