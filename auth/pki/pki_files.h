// Whole small files, written so that nobody ever sees half of one.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice {

inline constexpr mode_t kSecretMode = 0600;
inline constexpr mode_t kPublicMode = 0644;

enum class Existing { kRefuse, kReplace };

// Under another name in the same directory, synced, then put in place at once. The mode is exactly
// `mode`, whatever the umask. kInvalidArgument when the file is there already and may not be
// replaced; it is then untouched.
Status WriteWholeFile(const std::string& path, std::string_view content, mode_t mode,
                      Existing existing);

// kNotFound when there is none; files above 64 MiB are refused.
Result<std::string> ReadWholeFile(const std::string& path);

}  // namespace sluice
