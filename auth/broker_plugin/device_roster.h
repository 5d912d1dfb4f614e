// DeviceRoster: what the plugin knows of the registry, and what it wants to know. It stands between
// the broker's thread, which asks and never waits, and the watcher's, which asks PostgreSQL.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "auth/digest.h"
#include "base/unique_fd.h"

namespace sluice {

// What the registry says about one device.
struct DeviceFacts {
  bool active = false;                          // registered, and its status is ACTIVE
  std::vector<Sha256Digest> certificates = {};  // fingerprints of those that are ACTIVE and valid
  std::optional<Sha256Digest> token_hash = {};
};

struct RosterLimits {
  size_t devices = 200'000;             // known at a time, about 300 bytes each
  size_t questions = 10'000;            // waiting for the watcher; more are dropped
  int64_t token_trust_us = 60'000'000;  // logins are judged by facts no older than this
  int64_t idle_us = 3'600'000'000;      // a device that nobody asked about for so long is dropped
};

// Thread-safe; the mutex is held for map operations only. Times are monotonic microseconds.
// Identities are well-formed (auth/identity.h).
class DeviceRoster {
 public:
  enum class Verdict {
    kGood,
    kBad,
    kUnknown,  // not known yet, or not freshly enough; the watcher has been asked
  };

  explicit DeviceRoster(RosterLimits limits = {});

  // May this device log in with this token? Costs nothing but a hash.
  Verdict JudgeToken(std::string_view identity, std::string_view token, int64_t now);
  // May this device, proven by the certificate of that fingerprint or, without one, logged in
  // before, go on? By the last known facts, however old.
  Verdict JudgeSession(std::string_view identity, const std::optional<Sha256Digest>& certificate,
                       int64_t now);

  // Names to disconnect: devices that became bad, or other than they were. At most `max`; the rest
  // comes with the next call.
  std::vector<std::string> TakeKicks(size_t max);

  // For the watcher. Readable when a question arrived since the last TakeQuestions.
  int wake_fd() const { return wake_.get(); }
  void Wake();
  // What to look up: at most `max`, what the broker asked first, then what was last looked up
  // before `looked_up_before`, oldest first.
  std::vector<std::string> TakeQuestions(size_t max, int64_t now, int64_t looked_up_before);
  // nullopt: not registered. A device that lost what it had, or whose token is another, is kicked.
  void Answer(std::string_view identity, const std::optional<DeviceFacts>& facts, int64_t now);
  // What TakeQuestions gave and could not be looked up is asked again.
  void GiveBack(const std::vector<std::string>& questions);
  // The database said that something about this device changed for the worse: it is forgotten,
  // kicked and looked up.
  void Revoke(std::string_view identity);

  size_t size() const;

 private:
  struct Entry {
    DeviceFacts facts;
    int64_t looked_up = 0;
    int64_t used = 0;
    std::list<std::string>::iterator place;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using Entries = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;
  // Why somebody asked: what the device needs of the answer, or it is kicked.
  enum class Need { kNothing, kActive, kCertificate };  // it only tries to log in; a session …
  using Questions = std::unordered_map<std::string, Need, Hash, std::equal_to<>>;

  Entry* Find(std::string_view identity, int64_t now);
  void Ask(std::string_view identity, Need need);
  static bool Meets(const DeviceFacts& facts, Need need);
  void Kick(std::string_view identity);
  void Remove(Entries::iterator entry);

  const RosterLimits limits_;
  const UniqueFd wake_;
  mutable std::mutex mutex_;
  Entries entries_;
  std::list<std::string> by_age_;  // longest not looked up first
  Questions questions_;
  Questions asked_;  // taken by the watcher and not yet answered
  std::unordered_set<std::string> kicks_;
  std::deque<std::string> kick_order_;  // who was to be kicked first comes first
};

}  // namespace sluice
