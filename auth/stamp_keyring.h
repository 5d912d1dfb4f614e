// StampKeyring: the stamp keys in force, read again while workers use them.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "auth/stamp.h"
#include "base/status.h"

namespace sluice {

// Thread-safe. A worker takes the keys once a batch, so a batch is judged with one set of them.
class StampKeyring {
 public:
  // Reads the file (StampKeys::Load). With an error the keys stay as they were.
  Status Load(const std::string& path);
  // Null while none were loaded.
  std::shared_ptr<const StampKeys> keys() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const StampKeys> keys_;
};

}  // namespace sluice
