// Any bytes as a topic: what is accepted obeys check 1, and only that is.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "schema/topic.h"
#include "tests/fuzz/check.h"

namespace {

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (size_t slash; (slash = text.find('/')) != std::string_view::npos;) {
    parts.push_back(text.substr(0, slash));
    text.remove_prefix(slash + 1);
  }
  parts.push_back(text);
  return parts;
}

bool IsSegment(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == ':' || c == '-';
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string_view> parts = Split(text);
  const bool good = parts.size() >= 5 && parts[0] == "tenant" && parts[2] == "device" &&
                    std::all_of(parts.begin(), parts.end(), IsSegment);
  sluice::Topic topic;
  FUZZ_CHECK(sluice::ParseTopic(text, &topic) == good);
  if (good) {
    FUZZ_CHECK(topic.tenant == parts[1]);
    FUZZ_CHECK(topic.device == parts[3]);
    FUZZ_CHECK(topic.msg_type == parts[4]);
  }
  const bool other =
      parts.size() >= 5 && parts[0] == "tenant" && parts[2] == "device" &&
      (parts[4] == "commands" || parts[4] == "jobs" || (parts[4] == "shadow" && parts.size() >= 6));
  FUZZ_CHECK(sluice::IsOtherChannel(text) == other);
  return 0;
}
