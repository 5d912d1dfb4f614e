// CRC32C (Castagnoli), as in iSCSI: reflected, initial value and final xor all ones.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

// The CRC of what had the CRC `previous`, followed by `bytes`; 0 is the CRC of nothing. Uses the
// processor's instruction where it has one.
uint32_t Crc32c(std::string_view bytes, uint32_t previous = 0);

// The same without any special instruction; for tests, and what other processors use.
uint32_t Crc32cPortable(std::string_view bytes, uint32_t previous = 0);

}  // namespace sluice
