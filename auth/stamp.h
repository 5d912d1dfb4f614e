// Stamps: how the broker's plugin tells the daemon who published a message.
//
// The plugin appends the MQTT 5 user property kStampProperty to every message it lets through, and
// refuses messages that bring one. Version 1 of its value, ASCII, single spaces:
//
//   1 <method> <identity> <MAC>
//
//   method    cert:F   the client proved its identity with the TLS certificate whose fingerprint
//                      (SHA-256 of the DER) is F, 64 lower-case hexadecimal digits
//             token    it logged in with tenant/device and its provision token
//             account  it is a service; the identity is the account's name
//   identity  see auth/identity.h
//   MAC       64 lower-case hexadecimal digits: HMAC-SHA-256 under the shared key over
//             "sluice-stamp 1\n" method "\n" identity "\n" topic "\n" SHA-256(payload), the last as
//             32 raw bytes
//
// No two messages have the same MAC text: identities hold no newline by their alphabet, a topic
// with one is neither signed nor verified (MQTT brokers and check 1 refuse it, too), and the last
// part has a fixed length.
//
// A stamp proves who sent that payload on that topic, not when: whoever reads a stamped message
// can have the same bytes accepted again, on the same topic, if it gets them past the broker.
#pragma once

#include <openssl/sha.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/digest.h"
#include "base/status.h"

namespace sluice {

inline constexpr std::string_view kStampProperty = "sluice-stamp";
// True for kStampProperty in any spelling of upper and lower case.
bool IsStampProperty(std::string_view name);

enum class StampMethod { kCert, kToken, kAccount };
std::string_view StampMethodName(StampMethod method);  // "cert" …

// What a stamp says. That of a genuine one is a view into its text.
struct StampClaim {
  StampMethod method;
  std::string_view identity;
  Sha256Digest certificate = {};  // its fingerprint, with kCert; else zeros
};
// The method as it stands in the stamp: "cert:F", "token", "account".
std::string StampMethodText(const StampClaim& claim);
// Reads that into *claim, whose identity stays; false when it is no method.
bool ParseStampMethod(std::string_view text, StampClaim* claim);

// The keys. Immutable once made, so any thread may use them; copies are independent.
class StampKeys {
 public:
  // A file of one or two lines, each of 64 to 256 hexadecimal digits (32 to 128 bytes). The first
  // key signs, both verify; docs/security.md has the steps of a rotation. Refuses a file that
  // anybody but its owner may read (auth/secret_file.h). Messages name the path and the line, never
  // the content.
  static Result<StampKeys> Load(const std::string& path);

  // The stamp, or nothing when the topic holds a newline or the identity does not fit the method.
  std::optional<std::string> Sign(const StampClaim& claim, std::string_view topic,
                                  std::string_view payload) const;

  // What the stamp claims, if one of the keys made it for this very topic and payload; nothing
  // when it is forged, damaged or of another version. Allocates nothing; compares in constant time.
  std::optional<StampClaim> Verify(std::string_view topic, std::string_view payload,
                                   std::string_view stamp) const;

  size_t count() const { return keys_.size(); }

 private:
  // HMAC with the key's two blocks already hashed. OpenSSL's low-level SHA-256 and not EVP: its
  // state is a plain value, so that using a key is a copy on the stack, without an allocation and
  // from any thread. For 300 bytes that took 450 ns, EVP with contexts made beforehand 560 (and two
  // allocations), and the one-shot HMAC() 2300.
  struct Key {
    SHA256_CTX inner;
    SHA256_CTX outer;
  };

  explicit StampKeys(std::vector<Key> keys) : keys_(std::move(keys)) {}
  static Key Prepare(std::string_view bytes);

  std::vector<Key> keys_;  // not empty
};

}  // namespace sluice
