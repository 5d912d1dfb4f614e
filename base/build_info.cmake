# sluice_build_info: version, commit and compiler, for --version and /metrics. A source tree without
# .git says its commit with -DSLUICE_COMMIT=…
set(SLUICE_COMMIT "" CACHE STRING "The commit that is built; empty: git is asked at every build")

# Asked every time, which takes milliseconds; what depends on it is built again only when it changes.
set(commit_header ${CMAKE_CURRENT_BINARY_DIR}/commit.h)
add_custom_target(sluice_commit BYPRODUCTS ${commit_header}
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DCOMMIT=${SLUICE_COMMIT}
          -DHEADER=${commit_header} -P ${PROJECT_SOURCE_DIR}/cmake/commit.cmake
  COMMENT "Looking up the commit" VERBATIM)

sluice_library(build_info SOURCES build_info.cc DEPS PkgConfig::libpq OpenSSL::Crypto)
add_dependencies(sluice_build_info sluice_commit)
target_compile_definitions(sluice_build_info PRIVATE
  SLUICE_VERSION="${PROJECT_VERSION}"
  SLUICE_COMPILER="${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}"
  SLUICE_BUILD_TYPE="${CMAKE_BUILD_TYPE}")
