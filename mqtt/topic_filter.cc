#include "mqtt/topic_filter.h"

namespace sluice::mqtt {
namespace {

// Takes the text before the next '/' off the front; *more says whether there was a '/'.
std::string_view NextLevel(std::string_view* rest, bool* more) {
  const size_t slash = rest->find('/');
  const std::string_view level = rest->substr(0, slash);
  *more = slash != std::string_view::npos;
  rest->remove_prefix(*more ? slash + 1 : rest->size());
  return level;
}

}  // namespace

bool FilterCatches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && !filter.starts_with('$')) return false;
  bool wanted = true;
  bool there = true;
  while (wanted) {
    const std::string_view level = NextLevel(&filter, &wanted);
    // "a/#" is also "a".
    if (level == "#") return true;
    if (!there) return false;
    const std::string_view name = NextLevel(&topic, &there);
    if (level != "+" && level != name) return false;
  }
  return !there;
}

}  // namespace sluice::mqtt
