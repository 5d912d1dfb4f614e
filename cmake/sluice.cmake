# Helpers that give every target of the project the same flags and names.

add_library(sluice_flags INTERFACE)
target_include_directories(sluice_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_options(sluice_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                       -Wold-style-cast -Wcast-qual -Wformat=2 -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ tidies up its memory less often: a fifth less time for a test's file, for a fifth more memory.
  target_compile_options(sluice_flags INTERFACE --param=ggc-min-heapsize=600000)
endif()
if(SLUICE_FAILPOINTS)
  target_compile_definitions(sluice_flags INTERFACE SLUICE_FAILPOINTS)
endif()
if(SLUICE_SANITIZE)
  target_compile_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE}
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented code of the standard library looks uninitialized to g++ 12. The check of virtual
    # tables opens a pipe to see whether memory is readable, and accuses whoever calls it while the
    # process has no descriptor left.
    target_compile_options(sluice_flags INTERFACE -Wno-maybe-uninitialized -fno-sanitize=vptr)
  endif()
endif()
find_package(Threads REQUIRED)
target_link_libraries(sluice_flags INTERFACE Threads::Threads)

# sluice_library(<name> SOURCES <file>... DEPS <target>...): the static library sluice_<name>.
function(sluice_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(sluice_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(sluice_${name} PUBLIC sluice_flags ${ARG_DEPS})
endfunction()

# sluice_binary(<name> SOURCES <file>... DEPS <target>...): an executable in build/bin/.
function(sluice_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE sluice_flags ${ARG_DEPS})
endfunction()

# sluice_compile_quickly(<target>): for what reads the command line. CLI11 stands in its headers, which
# take two thirds of the time to compile so, and run once.
function(sluice_compile_quickly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
endfunction()

# sluice_generated_source(<target> <file> <content>): a source of the target's, in the folder's build
# directory. Written only when it changed, so that configuring again does not compile again.
function(sluice_generated_source target file content)
  set(path ${CMAKE_CURRENT_BINARY_DIR}/${file})
  set(before "")
  if(EXISTS ${path})
    file(READ ${path} before)
  endif()
  if(NOT content STREQUAL before)
    file(WRITE ${path} "${content}")
  endif()
  target_sources(${target} PRIVATE ${path})
endfunction()
