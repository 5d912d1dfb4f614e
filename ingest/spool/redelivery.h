// RedeliveryMemory: recognises what the broker sends again after a reconnect.
//
// It holds keyed hashes of the last appended messages, in order. The broker resends in order, so
// one position that only moves forward is enough; docs/spool-format.md says what this can get
// wrong. One thread.
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
  Fingerprint FingerprintOf(std::string_view identity) const;

  void Remember(const Fingerprint& message);
  // True when a message that the broker marked DUP is one that an earlier connection appended and
  // this one has not matched yet; it is then matched.
  bool Match(const Fingerprint& message);

  void StartConnection();  // matching starts over, with all that is remembered
  void Forget();           // nothing can come again

 private:
  uint64_t oldest() const;

  std::array<char, 192> secret_{};
  std::vector<Fingerprint> ring_;
  uint64_t next_ = 0;       // messages ever remembered; message i is at i % ring_.size()
  uint64_t forgotten_ = 0;  // messages before this one no longer count
  uint64_t position_ = 0;   // the first one this connection has not passed
  uint64_t match_end_ = 0;  // behind the last one of earlier connections
};

}  // namespace sluice
