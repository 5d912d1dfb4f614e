// Rules: which topics each client of the broker may publish to and subscribe to, read from one file
// (deploy/mosquitto/rules.conf is the one that is shipped, and explains the format).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "schema/device_key.h"

namespace sluice {

enum class Access { kPublish, kSubscribe };

// What is not allowed by a rule is refused. Immutable once made. Judging allocates nothing.
//
// What is judged is a topic or, for subscriptions, a filter: a filter is allowed if one rule covers
// everything it could match. '$share/group/' in front of a filter is taken off first. A wildcard at
// the start of a rule covers nothing that begins with '$', as in MQTT.
class Rules {
 public:
  // Errors name file and line and say in a sentence what is wrong.
  static Result<Rules> Load(const std::string& path);
  static Result<Rules> Parse(std::string_view text, const std::string& file);

  // Topics that a device publishes on must also pass check 1 (schema/topic.h).
  bool DeviceMay(Access access, DeviceKeyView device, std::string_view topic) const;
  bool AccountMay(Access access, std::string_view account, std::string_view topic) const;
  // True when any rule names the account.
  bool HasAccount(std::string_view account) const { return accounts_.contains(account); }

 private:
  struct Level {
    enum class Kind { kLiteral, kTenant, kDevice, kOne, kRest };
    Kind kind;
    std::string literal;
  };
  using Pattern = std::vector<Level>;
  struct Rights {
    std::vector<Pattern> publish;
    std::vector<Pattern> subscribe;
  };

  // "" when the line was taken, otherwise what is wrong with it.
  std::string Take(std::string_view line);
  static std::string ParsePattern(std::string_view text, bool of_device, Pattern* pattern);
  static bool Covers(const Pattern& pattern, DeviceKeyView device, std::string_view topic);
  static bool May(const Rights& rights, Access access, DeviceKeyView device,
                  std::string_view topic);

  Rights devices_;
  std::map<std::string, Rights, std::less<>> accounts_;
};

}  // namespace sluice
