#include "schema/device_key.h"

#include <xxhash.h>

#include <random>

namespace sluice {
namespace {

XXH64_hash_t ProcessSeed() {
  std::random_device device;
  return (static_cast<XXH64_hash_t>(device()) << 32) | device();
}

}  // namespace

size_t DeviceKeyHash::operator()(DeviceKeyView key) const {
  static const XXH64_hash_t seed = ProcessSeed();
  const XXH64_hash_t tenant = XXH3_64bits_withSeed(key.tenant.data(), key.tenant.size(), seed);
  return XXH3_64bits_withSeed(key.device.data(), key.device.size(), tenant);
}

}  // namespace sluice
