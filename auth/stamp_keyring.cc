#include "auth/stamp_keyring.h"

#include <utility>

namespace sluice {

Status StampKeyring::Load(const std::string& path) {
  auto loaded = StampKeys::Load(path);
  if (!loaded.ok()) return loaded.status();
  auto keys = std::make_shared<const StampKeys>(*std::move(loaded));
  std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
  return Status::Ok();
}

std::shared_ptr<const StampKeys> StampKeyring::keys() const {
  std::lock_guard lock(mutex_);
  return keys_;
}

}  // namespace sluice
