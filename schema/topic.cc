#include "schema/topic.h"

#include <array>

namespace sluice {
namespace {

constexpr std::array<bool, 256> kSegmentByte = [] {
  std::array<bool, 256> allowed{};
  for (const char c : std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789._:-")) {
    allowed[static_cast<unsigned char>(c)] = true;
  }
  return allowed;
}();

// Takes the text before the next '/' off the front of *rest. A text that ends in '/' has an empty
// last segment; *more says whether one is left.
std::string_view NextSegment(std::string_view* rest, bool* more) {
  const size_t slash = rest->find('/');
  const std::string_view segment = rest->substr(0, slash);
  *more = slash != std::string_view::npos;
  rest->remove_prefix(*more ? slash + 1 : rest->size());
  return segment;
}

bool IsOrIsBelow(std::string_view text, std::string_view channel) {
  return text.starts_with(channel) &&
         (text.size() == channel.size() || text[channel.size()] == '/');
}

}  // namespace

bool IsTopicSegment(std::string_view text) {
  if (text.empty() || text.size() > kMaxTopicSegmentBytes) return false;
  for (const char c : text) {
    if (!kSegmentByte[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

bool ParseTopic(std::string_view text, Topic* topic) {
  constexpr size_t kNamed = 5;
  std::array<std::string_view, kNamed> named;
  size_t count = 0;
  for (bool more = true; more; ++count) {
    const std::string_view segment = NextSegment(&text, &more);
    if (!IsTopicSegment(segment)) return false;
    if (count < kNamed) named[count] = segment;
  }
  if (count < kNamed || named[0] != "tenant" || named[2] != "device") return false;
  *topic = {.tenant = named[1], .device = named[3], .msg_type = named[4]};
  return true;
}

bool IsOtherChannel(std::string_view text) {
  bool more = true;
  if (NextSegment(&text, &more) != "tenant" || !more) return false;
  NextSegment(&text, &more);
  if (!more || NextSegment(&text, &more) != "device" || !more) return false;
  NextSegment(&text, &more);
  return more && (IsOrIsBelow(text, "commands") || IsOrIsBelow(text, "jobs") ||
                  text.starts_with("shadow/"));
}

}  // namespace sluice
