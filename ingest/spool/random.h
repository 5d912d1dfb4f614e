// Random bytes that nobody can guess.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdlib>

namespace sluice {

// At most 256 bytes. A kernel that has none to give is nothing to go on with.
inline void FillRandom(char* bytes, size_t size) {
  if (::getentropy(bytes, size) != 0) std::abort();
}

}  // namespace sluice
