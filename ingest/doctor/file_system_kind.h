// What a spool's file system is good for.
#pragma once

#include <cstdint>

namespace sluice {

struct FileSystemKind {
  const char* name;
  const char* trouble;  // what a spool suffers there; null: nothing
};

// By f_type of statfs(2).
FileSystemKind KindOf(uint64_t magic);

}  // namespace sluice
