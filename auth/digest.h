// SHA-256 digests: of provision tokens, as device_registry.provision_token_hash holds them, and of
// certificates, their fingerprints.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

using Sha256Digest = std::array<unsigned char, 32>;

Sha256Digest Sha256(std::string_view text);

// The digest written as 64 hexadecimal digits of either case, or nothing when it is not that.
std::optional<Sha256Digest> DigestFromHex(std::string_view hex);
std::string DigestToHex(const Sha256Digest& digest);

// Takes the same time wherever the two differ.
bool DigestsEqual(const Sha256Digest& a, const Sha256Digest& b);

}  // namespace sluice
