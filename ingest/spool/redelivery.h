// RedeliveryMemory: recognises what the broker sends again after a reconnect.
//
// It holds keyed hashes of the last appended messages, in order. The broker resends in order, so
// one position that only moves forward is enough; docs/spool-format.md says what this can get
// wrong. Looking a message up takes the same time however many are remembered. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace sluice {

class RedeliveryMemory {
 public:
  struct Fingerprint {
    uint64_t low = 0;
    uint64_t high = 0;
    bool operator==(const Fingerprint&) const = default;
  };

  // Remembers the last `window` messages.
  explicit RedeliveryMemory(size_t window);

  // Differs from process to process, so that nobody can prepare two messages that collide.
  // `packet_id`: a message is sent again under the same one; it also
  // keeps messages with the same bytes in different buckets.
  Fingerprint FingerprintOf(std::string_view identity, uint16_t packet_id) const;

  void Remember(const Fingerprint& message);
  // True when a message that the broker marked DUP is one that an earlier connection appended and
  // this one has not matched yet; it is then matched.
  bool Match(const Fingerprint& message);

  void StartConnection();  // matching starts over, with all that is remembered
  void Forget();           // nothing can come again

 private:
  // Message i is number i + 1, so that 0 is none.
  struct Entry {
    Fingerprint message;
    uint64_t previous = 0;  // number of the one before it in the same bucket
  };

  uint64_t oldest() const;
  uint64_t& Newest(const Fingerprint& message);  // number of the last one in its bucket

  std::array<char, 192> secret_{};
  std::vector<Entry> ring_;
  std::vector<uint64_t> buckets_;  // a power of two
  uint64_t next_ = 0;              // messages ever remembered; message i is at i % ring_.size()
  uint64_t forgotten_ = 0;         // messages before this one no longer count
  uint64_t position_ = 0;          // the first one this connection has not passed
  uint64_t match_end_ = 0;         // behind the last one of earlier connections
};

}  // namespace sluice
