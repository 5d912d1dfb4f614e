#include "base/build_info.h"

#include <libpq-fe.h>
#include <openssl/crypto.h>

#include "base/commit.h"

namespace sluice {
namespace {

// As libpq counts since 10: 150013 is 15.13.
std::string LibpqVersion() {
  constexpr int kMajor = 10'000;
  const int number = PQlibVersion();
  return std::to_string(number / kMajor) + "." + std::to_string(number % kMajor);
}

}  // namespace

BuildInfo ThisBuild() {
  return {.version = SLUICE_VERSION,
          .commit = kCommit,
          .compiler = SLUICE_COMPILER,
          .type = SLUICE_BUILD_TYPE};
}

std::string DescribeBuild(const std::string& program) {
  const BuildInfo build = ThisBuild();
  return program + " " + build.version + " (commit " + build.commit + ")\nbuilt by " +
         build.compiler + ", " + build.type + "; libpq " + LibpqVersion() + ", OpenSSL " +
         OpenSSL_version(OPENSSL_VERSION_STRING);
}

}  // namespace sluice
