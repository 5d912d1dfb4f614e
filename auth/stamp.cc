#define OPENSSL_SUPPRESS_DEPRECATED
#include "auth/stamp.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <utility>

#include "auth/identity.h"
#include "auth/secret_file.h"
#include "base/escape.h"
#include "base/letter_case.h"

namespace sluice {
namespace {

constexpr size_t kBlockBytes = 64;  // SHA-256's
constexpr size_t kMinKeyDigits = 64;
constexpr size_t kMaxKeyDigits = 256;
constexpr size_t kMaxKeys = 2;
constexpr size_t kMaxFileBytes = 2 * (kMaxKeyDigits + 1);
constexpr std::string_view kVersion = "1 ";
constexpr std::array<std::pair<std::string_view, StampMethod>, 3> kMethods = {{
    {"cert", StampMethod::kCert},
    {"token", StampMethod::kToken},
    {"account", StampMethod::kAccount},
}};

void Add(SHA256_CTX* state, std::string_view bytes) {
  SHA256_Update(state, bytes.data(), bytes.size());
}

void AddLine(SHA256_CTX* state, std::string_view line) {
  Add(state, line);
  Add(state, "\n");
}

std::string_view Bytes(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Sha256Digest Finish(SHA256_CTX* state) {
  Sha256Digest digest;
  SHA256_Final(digest.data(), state);
  return digest;
}

bool Fits(StampMethod method, std::string_view identity) {
  return method == StampMethod::kAccount ? IsAccountName(identity)
                                         : ParseDeviceIdentity(identity).has_value();
}

// One spelling of hexadecimal, so that two stamps are equal when their text is.
std::optional<Sha256Digest> DigestFromLowerHex(std::string_view hex) {
  const bool upper =
      std::any_of(hex.begin(), hex.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  return upper ? std::nullopt : DigestFromHex(hex);
}

// Takes the word before the next space, and the space, off the front of *rest.
std::string_view NextWord(std::string_view* rest) {
  const size_t space = std::min(rest->find(' '), rest->size());
  const std::string_view word = rest->substr(0, space);
  rest->remove_prefix(std::min(space + 1, rest->size()));
  return word;
}

Status Refused(const std::string& path, const std::string& why) {
  return {ErrorCode::kInvalidArgument, "the file " + path + " " + why};
}

}  // namespace

bool IsStampProperty(std::string_view name) {
  return EqualsIgnoringCase(name, kStampProperty);
}

std::string_view StampMethodName(StampMethod method) {
  for (const auto& [name, value] : kMethods) {
    if (value == method) return name;
  }
  return "";
}

std::string StampMethodText(const StampClaim& claim) {
  std::string word(StampMethodName(claim.method));
  if (claim.method == StampMethod::kCert) word.append(":").append(DigestToHex(claim.certificate));
  return word;
}

bool ParseStampMethod(std::string_view text, StampClaim* claim) {
  const size_t colon = std::min(text.find(':'), text.size());
  const auto* const known = std::find_if(kMethods.begin(), kMethods.end(), [&](const auto& entry) {
    return entry.first == text.substr(0, colon);
  });
  if (known == kMethods.end()) return false;
  claim->method = known->second;
  if (claim->method != StampMethod::kCert) return colon == text.size();
  const auto certificate = DigestFromLowerHex(text.substr(std::min(colon + 1, text.size())));
  if (certificate) claim->certificate = *certificate;
  return certificate.has_value();
}

StampKeys::Key StampKeys::Prepare(std::string_view bytes) {
  std::array<unsigned char, kBlockBytes> block{};
  if (bytes.size() > block.size()) {
    const Sha256Digest digest = Sha256(bytes);
    std::copy(digest.begin(), digest.end(), block.begin());
  } else {
    std::copy(bytes.begin(), bytes.end(), block.begin());
  }
  Key key{};
  SHA256_Init(&key.inner);
  SHA256_Init(&key.outer);
  for (unsigned char& byte : block) byte ^= 0x36;
  SHA256_Update(&key.inner, block.data(), block.size());
  for (unsigned char& byte : block) byte ^= 0x36 ^ 0x5c;
  SHA256_Update(&key.outer, block.data(), block.size());
  OPENSSL_cleanse(block.data(), block.size());
  return key;
}

Result<StampKeys> StampKeys::Load(const std::string& path) {
  auto text = ReadSecretFile(path, kMaxFileBytes);
  if (!text.ok()) return text.status();
  std::vector<Key> keys;
  std::string_view rest = *text;
  Status refused;
  while (!rest.empty() && refused.ok()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::array<unsigned char, kMaxKeyDigits / 2> bytes{};
    const std::string where = "line " + std::to_string(keys.size() + 1);
    if (keys.size() == kMaxKeys) {
      refused = Refused(path, "has more than two lines");
    } else if (line.size() < kMinKeyDigits || line.size() > kMaxKeyDigits) {
      refused = Refused(path, where + " does not have 64 to 256 hexadecimal digits");
    } else if (!FromHex(line, bytes.data(), line.size() / 2)) {
      refused = Refused(path, where + " is not an even number of hexadecimal digits");
    } else {
      keys.push_back(Prepare({reinterpret_cast<const char*>(bytes.data()), line.size() / 2}));
    }
    OPENSSL_cleanse(bytes.data(), bytes.size());
  }
  OPENSSL_cleanse(text->data(), text->size());
  if (!refused.ok()) return refused;
  if (keys.empty()) return Refused(path, "is empty");
  return StampKeys(std::move(keys));
}

namespace {

// The MAC under the key whose two states are given.
Sha256Digest Mac(SHA256_CTX inner, SHA256_CTX outer, std::string_view method,
                 std::string_view identity, std::string_view topic,
                 const Sha256Digest& payload_hash) {
  AddLine(&inner, "sluice-stamp 1");
  AddLine(&inner, method);
  AddLine(&inner, identity);
  AddLine(&inner, topic);
  Add(&inner, Bytes(payload_hash));
  Add(&outer, Bytes(Finish(&inner)));
  return Finish(&outer);
}

}  // namespace

std::optional<std::string> StampKeys::Sign(const StampClaim& claim, std::string_view topic,
                                           std::string_view payload) const {
  if (topic.find('\n') != std::string_view::npos || !Fits(claim.method, claim.identity)) {
    return std::nullopt;
  }
  const std::string method = StampMethodText(claim);
  const Key& key = keys_.front();
  const Sha256Digest mac =
      Mac(key.inner, key.outer, method, claim.identity, topic, Sha256(payload));
  std::string stamp(kVersion);
  stamp.append(method).append(" ").append(claim.identity).append(" ");
  return stamp + DigestToHex(mac);
}

std::optional<StampClaim> StampKeys::Verify(std::string_view topic, std::string_view payload,
                                            std::string_view stamp) const {
  if (!stamp.starts_with(kVersion) || topic.find('\n') != std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view rest = stamp.substr(kVersion.size());
  const std::string_view method = NextWord(&rest);
  StampClaim claim{};
  if (!ParseStampMethod(method, &claim)) return std::nullopt;
  claim.identity = NextWord(&rest);
  const auto given = DigestFromLowerHex(rest);
  if (!given || !Fits(claim.method, claim.identity)) return std::nullopt;
  const Sha256Digest payload_hash = Sha256(payload);
  for (const Key& key : keys_) {
    const Sha256Digest mac = Mac(key.inner, key.outer, method, claim.identity, topic, payload_hash);
    if (DigestsEqual(mac, *given)) return claim;
  }
  return std::nullopt;
}

}  // namespace sluice
