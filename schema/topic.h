// Topic: who a message says it is from, and what it is.
#pragma once

#include <string_view>

namespace sluice {

// Limits of check 1 (design): bytes of one segment.
inline constexpr size_t kMaxTopicSegmentBytes = 128;

// True for a segment that check 1 lets pass: 1 to 128 bytes of [A-Za-z0-9._:-].
bool IsTopicSegment(std::string_view text);

// Views into the text that was parsed. `msg_type` is the fifth segment; further ones are allowed
// and ignored here.
struct Topic {
  std::string_view tenant;
  std::string_view device;
  std::string_view msg_type;
};

// tenant/{t}/device/{d}/{msg_type}[/…]; every segment non-empty, ≤ 128 bytes, [A-Za-z0-9._:-].
// False leaves *topic unspecified: the message is BAD_TOPIC_FORMAT.
bool ParseTopic(std::string_view text, Topic* topic);

// True for tenant/{anything}/device/{anything}/ followed by a channel that is not telemetry and
// that the old service handled elsewhere: commands[/…], shadow/…, jobs[/…]. A broad filter catches
// these; they are ignored and counted, never quarantined.
bool IsOtherChannel(std::string_view text);

}  // namespace sluice
