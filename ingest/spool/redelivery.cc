#include "ingest/spool/redelivery.h"

#include <xxhash.h>

#include <algorithm>

#include "ingest/spool/random.h"

namespace sluice {

RedeliveryMemory::RedeliveryMemory(size_t window) : ring_(window) {
  FillRandom(secret_.data(), secret_.size());
}

RedeliveryMemory::Fingerprint RedeliveryMemory::FingerprintOf(std::string_view identity) const {
  const XXH128_hash_t hash =
      XXH3_128bits_withSecret(identity.data(), identity.size(), secret_.data(), secret_.size());
  return {hash.low64, hash.high64};
}

void RedeliveryMemory::Remember(const Fingerprint& message) {
  if (ring_.empty()) return;
  ring_[next_ % ring_.size()] = message;
  ++next_;
}

uint64_t RedeliveryMemory::oldest() const {
  return std::max(forgotten_, next_ - std::min<uint64_t>(next_, ring_.size()));
}

bool RedeliveryMemory::Match(const Fingerprint& message) {
  for (uint64_t i = std::max(position_, oldest()); i < match_end_; ++i) {
    if (ring_[i % ring_.size()] != message) continue;
    position_ = i + 1;
    return true;
  }
  return false;
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
