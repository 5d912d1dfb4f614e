#include "ingest/spool/redelivery.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>

#include "ingest/spool/random.h"

namespace sluice {

RedeliveryMemory::RedeliveryMemory(size_t window) : ring_(window), buckets_(std::bit_ceil(window)) {
  FillRandom(secret_.data(), secret_.size());
}

RedeliveryMemory::Fingerprint RedeliveryMemory::FingerprintOf(std::string_view identity,
                                                              uint16_t packet_id) const {
  const XXH128_hash_t hash =
      XXH3_128bits_withSecret(identity.data(), identity.size(), secret_.data(), secret_.size());
  return {hash.low64 ^ packet_id, hash.high64};
}

void RedeliveryMemory::Remember(const Fingerprint& message) {
  if (ring_.empty()) return;
  uint64_t& newest = Newest(message);
  ring_[next_ % ring_.size()] = {message, newest};
  newest = ++next_;
}

uint64_t& RedeliveryMemory::Newest(const Fingerprint& message) {
  return buckets_[message.low & (buckets_.size() - 1)];
}

uint64_t RedeliveryMemory::oldest() const {
  return std::max(forgotten_, next_ - std::min<uint64_t>(next_, ring_.size()));
}

bool RedeliveryMemory::Match(const Fingerprint& message) {
  const uint64_t passed = std::max(position_, oldest());
  uint64_t first = 0;
  for (uint64_t number = Newest(message); number > passed;) {
    const Entry& entry = ring_[(number - 1) % ring_.size()];
    if (number <= match_end_ && entry.message == message) first = number;
    number = entry.previous;
  }
  if (first == 0) return false;
  position_ = first;
  return true;
}

void RedeliveryMemory::StartConnection() {
  position_ = oldest();
  match_end_ = next_;
}

void RedeliveryMemory::Forget() {
  forgotten_ = next_;
  StartConnection();
}

}  // namespace sluice
