#include "base/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

namespace sluice {
namespace {

class FileSystemTest : public testing::Test {
 protected:
  FileSystemTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-fs-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~FileSystemTest() override { std::filesystem::remove_all(root_); }

  static mode_t ModeOf(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }

  FileSystem& fs_ = SystemFileSystem();
  std::string root_;
};

TEST_F(FileSystemTest, KeepsFilesAndDirectoriesFromOthers) {
  const std::string directory = root_ + "/a/b";
  ASSERT_TRUE(fs_.CreateDirectories(directory).ok());
  ASSERT_TRUE(fs_.CreateDirectories(directory).ok());
  ASSERT_TRUE(fs_.OpenAppend(directory + "/file").ok());
  EXPECT_EQ(ModeOf(root_ + "/a"), mode_t{0700});
  EXPECT_EQ(ModeOf(directory), mode_t{0700});
  EXPECT_EQ(ModeOf(directory + "/file"), mode_t{0600});
  EXPECT_THAT(*fs_.List(directory), testing::ElementsAre("file"));
}

TEST_F(FileSystemTest, AppendsReadsTruncatesAndReservesWithoutChangingTheLength) {
  const std::string path = root_ + "/file";
  auto file = fs_.OpenAppend(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append("hello").ok());
  ASSERT_TRUE(fs_.Reserve(path, 100'000).ok());
  ASSERT_TRUE((*file)->Append(" world").ok());
  ASSERT_TRUE((*file)->Sync().ok());
  ASSERT_TRUE(fs_.SyncDirectory(root_).ok());

  auto readable = fs_.OpenRead(path);
  ASSERT_TRUE(readable.ok());
  EXPECT_EQ(*(*readable)->Size(), 11U);
  std::string bytes(20, '\0');
  EXPECT_EQ(*(*readable)->ReadAt(6, bytes.data(), bytes.size()), 5U);
  EXPECT_EQ(bytes.substr(0, 5), "world");

  ASSERT_TRUE((*file)->Truncate(5).ok());
  ASSERT_TRUE((*file)->Append("!").ok());
  EXPECT_EQ(*(*readable)->Size(), 6U);
}

TEST_F(FileSystemTest, TellsWhatIsMissingFromWhatIsBroken) {
  EXPECT_EQ(fs_.OpenRead(root_ + "/none").code(), ErrorCode::kNotFound);
  EXPECT_EQ(fs_.Remove(root_ + "/none").code(), ErrorCode::kNotFound);
  EXPECT_EQ(fs_.Rename(root_ + "/none", root_ + "/new").code(), ErrorCode::kNotFound);
  EXPECT_EQ(fs_.List(root_ + "/none").code(), ErrorCode::kNotFound);
  ASSERT_TRUE(fs_.OpenAppend(root_ + "/file").ok());
  const Status status = fs_.CreateDirectories(root_ + "/file");
  EXPECT_EQ(status.code(), ErrorCode::kIo);
  EXPECT_THAT(status.message(), testing::HasSubstr("/file: Not a directory"));
}

TEST_F(FileSystemTest, SaysThatADeviceIsFull) {
  auto file = fs_.OpenAppend("/dev/full");
  if (!file.ok()) GTEST_SKIP() << "no /dev/full here";
  EXPECT_EQ((*file)->Append("x").code(), ErrorCode::kNoSpace);
}

TEST_F(FileSystemTest, LocksOnceUntilReleased) {
  auto lock = fs_.Lock(root_ + "/lock");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(fs_.Lock(root_ + "/lock").code(), ErrorCode::kUnavailable);
  lock->reset();
  EXPECT_TRUE(fs_.Lock(root_ + "/lock").ok());
}

}  // namespace
}  // namespace sluice
