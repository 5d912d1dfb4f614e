// Failpoints: named places in the code where a test makes the process die, wait or fail.
//
// Compiled in only where SLUICE_FAILPOINTS is defined (the debug preset, and sluice-failpoints, a
// daemon for tests/fault); else the macros leave nothing behind. The environment says what happens
// where:
//
//   SLUICE_FAILPOINTS=spool.after_append=kill@200,file.sync=eio
//
// kill    SIGKILL to this process
// sleep   this thread sleeps for ten seconds
// eio     the operation fails with kIo, and nothing is done
// enospc  the same with kNoSpace
//
// `@n` names the n-th passage, 1 if left out. kill and sleep happen once; a failing operation
// stays broken. An environment that does not parse ends the process with a sentence. Thread-safe.
#pragma once

#include <string_view>

#include "base/status.h"

#ifdef SLUICE_FAILPOINTS

namespace sluice {
Status ReachFailpoint(std::string_view name);
}  // namespace sluice

// A place to die or to sleep at.
#define SLUICE_FAILPOINT(name) ((void)::sluice::ReachFailpoint(name).ok())
// An operation that may fail: returns from the function, whose type takes a Status.
#define SLUICE_FAILPOINT_RETURN(name)                                               \
  do {                                                                              \
    if (::sluice::Status injected = ::sluice::ReachFailpoint(name); !injected.ok()) \
      return injected;                                                              \
  } while (false)

#else

#define SLUICE_FAILPOINT(name) ((void)0)
#define SLUICE_FAILPOINT_RETURN(name) ((void)0)

#endif
