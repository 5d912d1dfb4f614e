#include "auth/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace sluice {

Result<std::string> ReadSecretFile(const std::string& path, size_t max_bytes) {
  const auto refused = [&path](const std::string& why) {
    return Status(ErrorCode::kInvalidArgument, "the file " + path + " " + why);
  };
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) {
    return refused(std::string("cannot be opened: ") + std::strerror(errno));
  }
  const mode_t closed = info.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
  if ((info.st_mode & closed) != 0) {
    return refused("is open to others than its owner; chmod 600 it");
  }
  std::string text(max_bytes + 1, '\0');
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  if (size < 0) return refused(std::string("cannot be read: ") + std::strerror(errno));
  text.resize(static_cast<size_t>(size));
  if (text.size() > max_bytes) return refused("is too long");
  return text;
}

}  // namespace sluice
