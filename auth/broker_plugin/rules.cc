#include "auth/broker_plugin/rules.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "auth/identity.h"
#include "schema/topic.h"

namespace sluice {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kShare = "$share/";
constexpr std::string_view kOwnPlace = "tenant/{tenant}/device/{device}/";

std::string_view NextWord(std::string_view* rest) {
  rest->remove_prefix(std::min(rest->find_first_not_of(kBlanks), rest->size()));
  const size_t end = std::min(rest->find_first_of(kBlanks), rest->size());
  const std::string_view word = rest->substr(0, end);
  rest->remove_prefix(end);
  return word;
}

// Takes the level before the next '/' off the front of *rest; *more says whether one is left.
std::string_view NextLevel(std::string_view* rest, bool* more) {
  const size_t slash = rest->find('/');
  const std::string_view level = rest->substr(0, slash);
  *more = slash != std::string_view::npos;
  rest->remove_prefix(*more ? slash + 1 : rest->size());
  return level;
}

bool HasWildcard(std::string_view text) {
  return text.find_first_of("+#") != std::string_view::npos;
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

// What a subscription really asks for; "" when the text in front of it makes no sense.
std::string_view WithoutShare(std::string_view filter) {
  if (!filter.starts_with("$share")) return filter;
  if (!filter.starts_with(kShare)) return "";
  filter.remove_prefix(kShare.size());
  bool more = false;
  const std::string_view group = NextLevel(&filter, &more);
  return group.empty() || HasWildcard(group) ? "" : filter;
}

}  // namespace

Result<Rules> Rules::Load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) {
    return Status(ErrorCode::kInvalidArgument, path + ": cannot be read: " + std::strerror(errno));
  }
  return Parse(text, path);
}

Result<Rules> Rules::Parse(std::string_view text, const std::string& file) {
  Rules rules;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string wrong = rules.Take(text.substr(0, end));
    if (!wrong.empty()) {
      return Status(ErrorCode::kInvalidArgument,
                    file + ":" + std::to_string(number) + ": " + wrong);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (rules.devices_.publish.empty() && rules.accounts_.empty()) {
    return Status(ErrorCode::kInvalidArgument, file + ":1: there is no rule in this file");
  }
  return rules;
}

std::string Rules::Take(std::string_view line) {
  const std::string_view who = NextWord(&line);
  if (who.empty() || who.starts_with('#')) return "";
  Rights* rights = &devices_;
  if (who == "account") {
    const std::string_view name = NextWord(&line);
    if (!IsAccountName(name)) {
      return "an account's name is 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':' and '-'";
    }
    rights = &accounts_[std::string(name)];
  } else if (who != "device") {
    return "a rule begins with 'device' or 'account'";
  }
  const std::string_view verb = NextWord(&line);
  if (verb != "publish" && verb != "subscribe") return "'publish' or 'subscribe' is expected here";
  const std::string_view topic = NextWord(&line);
  if (!NextWord(&line).empty()) return "there is more on this line than a rule has";
  Pattern pattern;
  std::string wrong = ParsePattern(topic, who == "device", &pattern);
  if (!wrong.empty()) return wrong;
  (verb == "publish" ? rights->publish : rights->subscribe).push_back(std::move(pattern));
  return "";
}

std::string Rules::ParsePattern(std::string_view text, bool of_device, Pattern* pattern) {
  if (text.empty()) return "a topic is expected at the end of the rule";
  if (HasControl(text)) return "the topic holds a control character";
  if (of_device && (!text.starts_with(kOwnPlace) || text.size() == kOwnPlace.size())) {
    return "a device's topic begins with " + std::string(kOwnPlace) +
           ", or every device could reach the others";
  }
  if (text.starts_with("$share")) return "write the filter without $share; it is taken off";
  for (bool more = true; more;) {
    const std::string_view level = NextLevel(&text, &more);
    Level parsed{Level::Kind::kLiteral, std::string(level)};
    if (level == "+") {
      parsed.kind = Level::Kind::kOne;
    } else if (level == "#") {
      if (more) return "'#' is the last level of a topic";
      parsed.kind = Level::Kind::kRest;
    } else if (HasWildcard(level)) {
      return "'+' and '#' stand for whole levels of a topic";
    } else if (of_device && level == "{tenant}") {
      parsed.kind = Level::Kind::kTenant;
    } else if (of_device && level == "{device}") {
      parsed.kind = Level::Kind::kDevice;
    } else if (level.find_first_of("{}") != std::string_view::npos) {
      return "{tenant} and {device} are known, as whole levels, in a device's topics only";
    }
    pattern->push_back(std::move(parsed));
  }
  return "";
}

bool Rules::Covers(const Pattern& pattern, DeviceKeyView device, std::string_view topic) {
  using Kind = Level::Kind;
  if (topic.starts_with('$') && pattern.front().kind != Kind::kLiteral) return false;
  bool more = true;
  for (const Level& level : pattern) {
    // "a/#" is also "a".
    if (level.kind == Kind::kRest) return true;
    if (!more) return false;
    const std::string_view asked = NextLevel(&topic, &more);
    if (asked == "#") return false;
    std::string_view wanted = level.literal;
    if (level.kind == Kind::kOne) wanted = asked;
    if (level.kind == Kind::kTenant) wanted = device.tenant;
    if (level.kind == Kind::kDevice) wanted = device.device;
    if (asked != wanted) return false;
  }
  return !more;
}

bool Rules::May(const Rights& rights, Access access, DeviceKeyView device, std::string_view topic) {
  if (access == Access::kSubscribe) topic = WithoutShare(topic);
  if (topic.empty() || HasControl(topic)) return false;
  if (HasWildcard(topic)) {
    if (access == Access::kPublish) return false;
    std::string_view rest = topic;
    for (bool more = true; more;) {
      const std::string_view level = NextLevel(&rest, &more);
      if (HasWildcard(level) && level.size() > 1) return false;
      if (level == "#" && more) return false;
    }
  }
  const auto& patterns = access == Access::kPublish ? rights.publish : rights.subscribe;
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const Pattern& pattern) { return Covers(pattern, device, topic); });
}

bool Rules::DeviceMay(Access access, DeviceKeyView device, std::string_view topic) const {
  Topic parsed;
  if (access == Access::kPublish && !ParseTopic(topic, &parsed)) return false;
  return May(devices_, access, device, topic);
}

bool Rules::AccountMay(Access access, std::string_view account, std::string_view topic) const {
  const auto found = accounts_.find(account);
  return found != accounts_.end() && May(found->second, access, {}, topic);
}

}  // namespace sluice
