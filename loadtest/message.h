// Messages, encoded once and patched for each sending.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "loadtest/model.h"
#include "loadtest/mqtt.h"

namespace sluice::loadtest {

struct MessageOptions {
  size_t payload_bytes = 300;  // padded up to this; never cut
  int metrics = 5;             // keys per reading, at most kMaxMetrics
  int readings = 1;
  size_t oversize_bytes = 20000;  // payload of Kind::kOversized
  Proof proof = Proof::kPayload;
  Dialect dialect = {};
};

// "2026-03-01T10:00:00.000000Z": always kTimeChars long.
inline constexpr size_t kTimeChars = 27;
std::string FormatTime(UnixMicros time);

// A PUBLISH of one sender and kind. Everything but packet id, seq, time and DUP is fixed, so
// sending costs a copy and a few patches. Immutable.
class MessageTemplate {
 public:
  MessageTemplate(const FleetShape& shape, const MessageOptions& options, const Sender& sender,
                  Kind kind);

  // Appends the packet. Reading i of the message carries seq + i. `time` is kTimeChars long. At
  // QoS 0 there is neither packet id nor DUP.
  void Append(uint16_t packet_id, uint64_t seq, std::string_view time, bool dup,
              std::string* out) const;
  size_t packet_bytes() const { return packet_.bytes.size(); }

 private:
  PublishPacket packet_;
  std::vector<size_t> seq_at_;
  std::vector<size_t> time_at_;
};

// All templates of a fleet, each made when first asked for. Not thread-safe.
class MessageLibrary {
 public:
  MessageLibrary(FleetShape shape, MessageOptions options);

  const MessageTemplate& Get(uint32_t sender, Kind kind);
  const FleetShape& shape() const { return shape_; }
  Dialect dialect() const { return options_.dialect; }
  const std::vector<Sender>& senders() const { return senders_; }
  // How many values of seq one message uses up.
  uint64_t readings() const { return static_cast<uint64_t>(options_.readings); }

 private:
  const FleetShape shape_;
  const MessageOptions options_;
  const std::vector<Sender> senders_;
  std::vector<std::unique_ptr<MessageTemplate>> templates_;  // [sender * kKindCount + kind]
};

}  // namespace sluice::loadtest
