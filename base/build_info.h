// What this program was built from, and with what. A library of its own that only programs link
// (sluice_build_info), so that a new commit makes no test link again.
#pragma once

#include <string>

namespace sluice {

struct BuildInfo {
  std::string version;
  // Twelve digits, a '+' behind them when the source was changed since; or "unknown".
  std::string commit;
  std::string compiler;
  std::string type;  // CMake's: RelWithDebInfo
};

BuildInfo ThisBuild();

// What --version prints: "PROGRAM 0.1.0 (commit 0123456789ab)", the compiler, and the libraries in
// use.
std::string DescribeBuild(const std::string& program);

}  // namespace sluice
