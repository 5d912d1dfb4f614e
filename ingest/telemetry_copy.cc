#include "ingest/telemetry_copy.h"

#include "base/pg_copy.h"

namespace sluice {

size_t AppendTelemetryTuple(const Topic& topic, std::string_view site_id, const Reading& reading,
                            UnixMicros received, std::string* out) {
  CopyEncoder copy(out);
  copy.Tuple(8);
  copy.Timestamp(reading.time);
  copy.Text(topic.tenant);
  copy.Text(topic.device);
  copy.Text(site_id);
  const size_t site_begin = out->size() - site_id.size();
  copy.Text(topic.msg_type);
  copy.Bigint(reading.seq);
  copy.Jsonb(reading.metrics);
  copy.Timestamp(received);
  return site_begin;
}

}  // namespace sluice
