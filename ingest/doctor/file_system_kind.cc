#include "ingest/doctor/file_system_kind.h"

#include <linux/magic.h>

#include <algorithm>
#include <array>

namespace sluice {
namespace {

struct Known {
  uint64_t magic;
  FileSystemKind kind;
};

constexpr const char* kMemory =
    "it is memory: a restart of the machine takes what was acknowledged";
constexpr const char* kNetwork = "it is on the network: locks and syncs are not to be relied upon";
constexpr const char* kContainer = "it is the container's own layer: it goes with the container";

// Those without a name in linux/magic.h have it in statfs(2).
constexpr std::array<Known, 11> kKnown = {{
    {EXT4_SUPER_MAGIC, {"ext2, ext3 or ext4", nullptr}},
    {XFS_SUPER_MAGIC, {"xfs", nullptr}},
    {BTRFS_SUPER_MAGIC, {"btrfs", nullptr}},
    {F2FS_SUPER_MAGIC, {"f2fs", nullptr}},
    {0x2fc12fc1, {"zfs", nullptr}},
    {TMPFS_MAGIC, {"tmpfs", kMemory}},
    {RAMFS_MAGIC, {"ramfs", kMemory}},
    {OVERLAYFS_SUPER_MAGIC, {"overlayfs", kContainer}},
    {NFS_SUPER_MAGIC, {"nfs", kNetwork}},
    {CIFS_SUPER_MAGIC, {"cifs", kNetwork}},
    {SMB2_SUPER_MAGIC, {"smb", kNetwork}},
}};

}  // namespace

FileSystemKind KindOf(uint64_t magic) {
  const auto* const found = std::find_if(
      kKnown.begin(), kKnown.end(), [magic](const Known& known) { return known.magic == magic; });
  return found == kKnown.end() ? FileSystemKind{"of a kind that is not known here", nullptr}
                               : found->kind;
}

}  // namespace sluice
