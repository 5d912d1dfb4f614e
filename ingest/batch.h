// Batch: what a worker knows about the messages of one chunk, from decoding to commit. Reused from
// chunk to chunk; belongs to one worker.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "auth/credential_store.h"
#include "auth/digest.h"
#include "auth/stamp.h"
#include "ingest/spool/spool.h"
#include "schema/reason.h"
#include "schema/topic.h"

namespace sluice {

struct Location {
  double latitude;
  double longitude;
};

// What came of a message's stamp.
enum class Stamped {
  kNo,       // it had none
  kUnread,   // it had one, and no keys are loaded
  kForged,   // not genuine
  kGenuine,  // Message::claim is what it says
};

struct Rejection {
  Reason reason;
  std::string detail;   // a sentence for the operator; may be empty
  bool stored = false;  // flood control let it into quarantine_events
};

struct Message {
  const SpoolRecord* record = nullptr;  // in the chunk
  Topic topic;                          // empty views when the topic did not parse
  Stamped stamped = Stamped::kNo;
  std::optional<StampClaim> claim;  // of a genuine stamp
  bool payload_is_json = false;
  std::optional<Sha256Digest> token;
  std::optional<UnixMicros> event_time;  // of the first reading; only if the payload decoded
  std::optional<Location> location;
  // The message's COPY tuples are Batch::tuples[tuples_begin, tuples_end), `rows` of them.
  size_t tuples_begin = 0;
  size_t tuples_end = 0;
  uint32_t rows = 0;
  size_t site_begin = 0;  // of the site_id's text in Batch::tuples
  size_t site_size = 0;
  DeviceRef device;  // after Resolve; null: not registered
  std::optional<Rejection> rejection;

  bool accepted() const { return !rejection.has_value(); }
  // Accepted, and from a place the registry does not know its device at and wants to.
  bool MovesDevice() const {
    return accepted() && location && device && device->location_follows_device &&
           (device->latitude != location->latitude || device->longitude != location->longitude);
  }
  DeviceKeyView key() const { return {topic.tenant, topic.device}; }
};

struct Batch {
  const Chunk* chunk = nullptr;
  std::vector<Message> messages;
  // Telemetry tuples of every message that decoded, rejected later or not: encoding while the
  // decoder's views are alive saves copying them, and rejections are rare.
  std::string tuples;
  // Days (Unix) that the tuples' times fall on, with the message's place in `messages`.
  struct Day {
    int64_t day;
    size_t message;
  };
  std::vector<Day> days;

  // Only these days' partitions must exist: a forged message makes no table.
  std::set<int64_t> AcceptedDays() const {
    std::set<int64_t> accepted;
    for (const Day& day : days) {
      if (messages[day.message].accepted()) accepted.insert(day.day);
    }
    return accepted;
  }

  std::string_view SiteOf(const Message& message) const {
    return std::string_view{tuples}.substr(message.site_begin, message.site_size);
  }
};

}  // namespace sluice
