// FakeFileSystem: a disk in memory that can be full, broken or forgetful. Thread-safe.
//
// It is as strict as POSIX allows: what was not synced is gone after a power cut, and so is the
// name of a file whose directory was not synced.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"

namespace sluice {

class FakeFileSystem final : public FileSystem {
 public:
  Status CreateDirectories(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  Result<std::unique_ptr<WritableFile>> OpenAppend(const std::string& path) override;
  Result<std::unique_ptr<ReadableFile>> OpenRead(const std::string& path) override;
  Status Reserve(const std::string& path, uint64_t size) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status SyncDirectory(const std::string& directory) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

  // What another process finds after this one was killed now: everything that was written. Nothing
  // is locked, and nothing fails.
  std::unique_ptr<FakeFileSystem> AfterKill() const;
  // After a power cut now: only what was synced.
  std::unique_ptr<FakeFileSystem> AfterPowerCut() const;
  // The same, but of what was not synced any part may have come to the disk: names, and sectors of
  // the files, in no order. What is missing of a file that has grown reads as zeros.
  std::unique_ptr<FakeFileSystem> AfterPowerCut(std::mt19937& random) const;
  // The power goes during the n-th change from now, 1 being the next: that one and all later ones
  // fail and leave nothing behind.
  void LosePowerAt(uint64_t change);
  bool powerless() const;

  void SetCapacity(uint64_t bytes);            // all files together, with what is reserved
  void FailWrites(bool fail);                  // EIO, after half of the bytes
  void FailSyncs(bool fail);                   // EIO
  void FailReads(uint64_t from, uint64_t to);  // EIO for reads that touch these offsets

  std::vector<std::string> Names() const;  // full paths, sorted
  bool Exists(const std::string& path) const;
  std::string Contents(const std::string& path) const;
  void SetContents(const std::string& path, const std::string& bytes);  // durable at once
  uint64_t Reserved(const std::string& path) const;
  uint64_t syncs() const;

 private:
  class Writable;
  class Readable;
  class Held;
  struct Node {
    std::string bytes;
    std::string durable;
    uint64_t reserved = 0;
  };
  using NameMap = std::map<std::string, std::shared_ptr<Node>>;

  static Status NotFound(const std::string& path) {
    return {ErrorCode::kNotFound, path + ": not found"};
  }
  static Status BadDisk(const std::string& what) {
    return {ErrorCode::kIo, what + ": Input/output error"};
  }
  static Status NoSpace(const std::string& what) {
    return {ErrorCode::kNoSpace, what + ": No space left on device"};
  }
  static std::string SomeOf(const Node& node, std::mt19937& random);
  uint64_t Used() const;
  // Counts a change; true when there is no power for it.
  bool Powerless() { return changes_left_ == 0 || --changes_left_ == 0; }

  mutable std::mutex mutex_;
  NameMap names_;
  NameMap durable_names_;
  std::set<std::string> locked_;
  uint64_t capacity_ = std::numeric_limits<uint64_t>::max();
  bool fail_writes_ = false;
  bool fail_syncs_ = false;
  uint64_t fail_reads_from_ = 0;
  uint64_t fail_reads_to_ = 0;
  uint64_t syncs_ = 0;
  uint64_t changes_left_ = std::numeric_limits<uint64_t>::max();
};

class FakeFileSystem::Writable final : public WritableFile {
 public:
  Writable(FakeFileSystem& fs, std::shared_ptr<Node> node) : fs_(fs), node_(std::move(node)) {}

  Status Append(std::string_view bytes) override {
    const std::lock_guard lock(fs_.mutex_);
    if (fs_.Powerless()) return BadDisk("write");
    if (fs_.fail_writes_) {
      node_->bytes.append(bytes.substr(0, bytes.size() / 2));
      return BadDisk("write");
    }
    const uint64_t room = fs_.capacity_ - std::min(fs_.capacity_, fs_.Used());
    const uint64_t reserved = node_->reserved - std::min(node_->reserved, node_->bytes.size());
    if (bytes.size() > room + reserved) {
      node_->bytes.append(bytes.substr(0, room + reserved));
      return NoSpace("write");
    }
    node_->bytes.append(bytes);
    return Status::Ok();
  }

  Status Sync() override {
    const std::lock_guard lock(fs_.mutex_);
    ++fs_.syncs_;
    if (fs_.fail_syncs_ || fs_.Powerless()) return BadDisk("fdatasync");
    node_->durable = node_->bytes;
    return Status::Ok();
  }

  Status Truncate(uint64_t size) override {
    const std::lock_guard lock(fs_.mutex_);
    if (fs_.Powerless()) return BadDisk("ftruncate");
    node_->bytes.resize(size);
    node_->reserved = size;
    return Status::Ok();
  }

 private:
  FakeFileSystem& fs_;
  std::shared_ptr<Node> node_;
};

class FakeFileSystem::Readable final : public ReadableFile {
 public:
  Readable(FakeFileSystem& fs, std::shared_ptr<Node> node) : fs_(fs), node_(std::move(node)) {}

  Result<size_t> ReadAt(uint64_t offset, char* buffer, size_t size) const override {
    const std::lock_guard lock(fs_.mutex_);
    if (offset < fs_.fail_reads_to_ && offset + size > fs_.fail_reads_from_) return BadDisk("read");
    if (offset >= node_->bytes.size()) return size_t{0};
    const size_t got = std::min<size_t>(size, node_->bytes.size() - offset);
    node_->bytes.copy(buffer, got, offset);
    return got;
  }

  Result<uint64_t> Size() const override {
    const std::lock_guard lock(fs_.mutex_);
    return uint64_t{node_->bytes.size()};
  }

 private:
  FakeFileSystem& fs_;
  std::shared_ptr<Node> node_;
};

class FakeFileSystem::Held final : public FileLock {
 public:
  Held(FakeFileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  ~Held() override {
    const std::lock_guard lock(fs_.mutex_);
    fs_.locked_.erase(path_);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  FakeFileSystem& fs_;
  std::string path_;
};

inline Status FakeFileSystem::CreateDirectories(const std::string&) {
  return Status::Ok();
}

inline Result<std::vector<std::string>> FakeFileSystem::List(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [path, node] : names_) {
    if (path.starts_with(directory + "/")) names.push_back(path.substr(directory.size() + 1));
  }
  return names;
}

inline Result<std::unique_ptr<WritableFile>> FakeFileSystem::OpenAppend(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!names_.contains(path) && Powerless()) return BadDisk("open");
  std::shared_ptr<Node>& node = names_[path];
  if (!node) node = std::make_shared<Node>();
  return {std::make_unique<Writable>(*this, node)};
}

inline Result<std::unique_ptr<ReadableFile>> FakeFileSystem::OpenRead(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto it = names_.find(path);
  if (it == names_.end()) return NotFound(path);
  return {std::make_unique<Readable>(*this, it->second)};
}

inline Status FakeFileSystem::Reserve(const std::string& path, uint64_t size) {
  const std::lock_guard lock(mutex_);
  const auto it = names_.find(path);
  if (it == names_.end()) return NotFound(path);
  if (Powerless()) return BadDisk("fallocate");
  Node& node = *it->second;
  const uint64_t now = std::max<uint64_t>(node.reserved, node.bytes.size());
  if (size > now && Used() + size - now > capacity_) return NoSpace("fallocate " + path);
  node.reserved = std::max(node.reserved, size);
  return Status::Ok();
}

inline Status FakeFileSystem::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  const auto it = names_.find(from);
  if (it == names_.end()) return NotFound(from);
  if (Powerless()) return BadDisk("rename");
  names_[to] = it->second;
  names_.erase(from);
  return Status::Ok();
}

inline Status FakeFileSystem::Remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (Powerless()) return BadDisk("unlink");
  return names_.erase(path) == 1 ? Status::Ok() : NotFound(path);
}

inline Status FakeFileSystem::SyncDirectory(const std::string&) {
  const std::lock_guard lock(mutex_);
  if (fail_syncs_ || Powerless()) return BadDisk("fsync");
  durable_names_ = names_;
  return Status::Ok();
}

inline Result<std::unique_ptr<FileLock>> FakeFileSystem::Lock(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!locked_.insert(path).second) return Status(ErrorCode::kUnavailable, path + " is locked");
  return {std::make_unique<Held>(*this, path)};
}

inline std::unique_ptr<FakeFileSystem> FakeFileSystem::AfterKill() const {
  auto copy = std::make_unique<FakeFileSystem>();
  const std::lock_guard lock(mutex_);
  for (const auto& [path, node] : names_) copy->names_[path] = std::make_shared<Node>(*node);
  for (const auto& [path, node] : copy->names_) {
    if (durable_names_.contains(path)) copy->durable_names_[path] = node;
  }
  return copy;
}

inline std::unique_ptr<FakeFileSystem> FakeFileSystem::AfterPowerCut() const {
  auto copy = std::make_unique<FakeFileSystem>();
  const std::lock_guard lock(mutex_);
  for (const auto& [path, node] : durable_names_) {
    auto kept = std::make_shared<Node>(*node);
    kept->bytes = kept->durable;
    copy->names_[path] = kept;
  }
  copy->durable_names_ = copy->names_;
  return copy;
}

inline std::string FakeFileSystem::SomeOf(const Node& node, std::mt19937& random) {
  constexpr size_t kSector = 512;
  const auto [least, most] = std::minmax({node.durable.size(), node.bytes.size()});
  std::string some(std::uniform_int_distribution<size_t>(least, most)(random), '\0');
  for (size_t at = 0; at < some.size(); at += kSector) {
    const std::string& from = random() % 2 == 0 ? node.durable : node.bytes;
    const size_t size = std::min(kSector, some.size() - at);
    if (at < from.size()) from.copy(some.data() + at, size, at);
  }
  // A sector holds what was synced in it, whichever of its versions came to the disk.
  const size_t same = static_cast<size_t>(
      std::mismatch(node.durable.begin(), node.durable.end(), node.bytes.begin(), node.bytes.end())
          .first -
      node.durable.begin());
  some.replace(0, std::min(same, some.size()), node.durable, 0, std::min(same, some.size()));
  return some;
}

inline std::unique_ptr<FakeFileSystem> FakeFileSystem::AfterPowerCut(std::mt19937& random) const {
  auto copy = std::make_unique<FakeFileSystem>();
  const std::lock_guard lock(mutex_);
  NameMap before = names_;
  before.insert(durable_names_.begin(), durable_names_.end());
  for (const auto& [path, any] : before) {
    const NameMap& from = random() % 2 == 0 ? durable_names_ : names_;
    const auto found = from.find(path);
    if (found != from.end()) {
      auto kept = std::make_shared<Node>();
      kept->bytes = kept->durable = SomeOf(*found->second, random);
      copy->names_[path] = kept;
    }
  }
  copy->durable_names_ = copy->names_;
  return copy;
}

inline void FakeFileSystem::LosePowerAt(uint64_t change) {
  const std::lock_guard lock(mutex_);
  changes_left_ = change;
}

inline bool FakeFileSystem::powerless() const {
  const std::lock_guard lock(mutex_);
  return changes_left_ == 0;
}

inline void FakeFileSystem::SetCapacity(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

inline void FakeFileSystem::FailWrites(bool fail) {
  const std::lock_guard lock(mutex_);
  fail_writes_ = fail;
}

inline void FakeFileSystem::FailSyncs(bool fail) {
  const std::lock_guard lock(mutex_);
  fail_syncs_ = fail;
}

inline void FakeFileSystem::FailReads(uint64_t from, uint64_t to) {
  const std::lock_guard lock(mutex_);
  fail_reads_from_ = from;
  fail_reads_to_ = to;
}

inline std::vector<std::string> FakeFileSystem::Names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [path, node] : names_) names.push_back(path);
  return names;
}

inline bool FakeFileSystem::Exists(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return names_.contains(path);
}

inline std::string FakeFileSystem::Contents(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return names_.at(path)->bytes;
}

inline void FakeFileSystem::SetContents(const std::string& path, const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  auto node = std::make_shared<Node>();
  node->bytes = bytes;
  node->durable = bytes;
  names_[path] = node;
  durable_names_[path] = node;
}

inline uint64_t FakeFileSystem::Reserved(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return names_.at(path)->reserved;
}

inline uint64_t FakeFileSystem::syncs() const {
  const std::lock_guard lock(mutex_);
  return syncs_;
}

inline uint64_t FakeFileSystem::Used() const {
  uint64_t used = 0;
  for (const auto& [path, node] : names_) {
    used += std::max<uint64_t>(node->reserved, node->bytes.size());
  }
  return used;
}

}  // namespace sluice
