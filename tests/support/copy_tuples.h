// Reads tuples of PostgreSQL's binary COPY format back.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

using CopyTuple = std::vector<std::optional<std::string>>;  // nothing: NULL

inline int64_t BigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return static_cast<int64_t>(value);
}

// Without COPY's header and trailer. Throws when the bytes end within a tuple.
inline std::vector<CopyTuple> ReadCopyTuples(std::string_view bytes) {
  const auto take = [&bytes](size_t size) {
    if (bytes.size() < size) throw std::runtime_error("a tuple is cut short");
    const std::string_view taken = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return taken;
  };
  std::vector<CopyTuple> tuples;
  while (!bytes.empty()) {
    CopyTuple& tuple = tuples.emplace_back();
    for (int64_t fields = BigEndian(take(2)); fields > 0; --fields) {
      const auto size = static_cast<int32_t>(BigEndian(take(4)));
      tuple.push_back(size < 0 ? std::nullopt
                               : std::optional(std::string(take(static_cast<size_t>(size)))));
    }
  }
  return tuples;
}

}  // namespace sluice
