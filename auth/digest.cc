// The one-shot function of OpenSSL 3 looks the algorithm up at each call, under locks.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "auth/digest.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/escape.h"

namespace sluice {

Sha256Digest Sha256(std::string_view text) {
  Sha256Digest digest;
  SHA256_CTX state;
  SHA256_Init(&state);
  SHA256_Update(&state, text.data(), text.size());
  SHA256_Final(digest.data(), &state);
  return digest;
}

std::optional<Sha256Digest> DigestFromHex(std::string_view hex) {
  Sha256Digest digest;
  if (!FromHex(hex, digest.data(), digest.size())) return std::nullopt;
  return digest;
}

std::string DigestToHex(const Sha256Digest& digest) {
  return ToHex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

bool DigestsEqual(const Sha256Digest& a, const Sha256Digest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace sluice
