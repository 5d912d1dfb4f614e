# Everything comes from Debian 12 packages; scripts/packages lists them. Headers of others are
# included as system headers, so that our warnings stay ours.
find_package(PkgConfig REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(simdjson REQUIRED)
find_package(spdlog REQUIRED)
find_package(PahoMqttCpp REQUIRED)
pkg_check_modules(libpq REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(prometheus REQUIRED IMPORTED_TARGET prometheus-cpp-core)
if(SLUICE_TESTS)
  find_package(GTest REQUIRED)
endif()
