#include "auth/pki/pki_directory.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>

#include "auth/pki/certificate.h"
#include "auth/pki/pki_files.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/auth/pki/pki_fixture.h"

namespace sluice {
namespace {

using sluice::testing::ReadFile;
using sluice::testing::TempDir;
using sluice::testing::WriteFile;

mode_t ModeOf(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

class PkiDirectoryTest : public ::testing::Test {
 protected:
  Status Initialize() { return InitializePki(files_, {.server_names = {"localhost"}}, kNow); }
  int Files() const {
    return static_cast<int>(std::distance(std::filesystem::directory_iterator(files_.path),
                                          std::filesystem::directory_iterator()));
  }

  TempDir parent_;
  PkiDirectory files_{parent_.Path("deep/pki")};
};

TEST_F(PkiDirectoryTest, KeysAndDirectoryAreForTheOwnerOnlyWhateverTheUmask) {
  const mode_t before = ::umask(0);
  ASSERT_TRUE(Initialize().ok());
  ::umask(before);
  EXPECT_EQ(ModeOf(files_.path), 0700U);
  for (const auto& key : {files_.server_ca_key, files_.device_ca_key, files_.server_key}) {
    EXPECT_EQ(ModeOf(key), 0600U) << key;
  }
  for (const auto& file :
       {files_.server_ca, files_.device_ca, files_.server, files_.combined_ca, files_.crl}) {
    EXPECT_EQ(ModeOf(file), 0644U) << file;
  }
  EXPECT_EQ(Files(), 8);
}

TEST_F(PkiDirectoryTest, TheFilesFitTogether) {
  ASSERT_TRUE(Initialize().ok());
  const auto devices = LoadDeviceAuthority(files_);
  ASSERT_TRUE(devices.ok()) << devices.message();
  const auto servers = Authority::Parse(ReadFile(files_.server_ca), ReadFile(files_.server_ca_key));
  ASSERT_TRUE(servers.ok()) << servers.message();
  EXPECT_EQ(Verdict(*servers, ReadFile(files_.server), kNow, X509_PURPOSE_SSL_SERVER), X509_V_OK);
  EXPECT_EQ(ReadFile(files_.combined_ca), ReadFile(files_.server_ca) + ReadFile(files_.device_ca));
  EXPECT_EQ(Verdict(*devices, Issue(*devices).certificate_pem, kNow, X509_PURPOSE_SSL_CLIENT,
                    ReadFile(files_.crl)),
            X509_V_OK);
}

TEST_F(PkiDirectoryTest, RefusesToOverwriteAndLeavesEverythingAsItWas) {
  ASSERT_TRUE(Initialize().ok());
  const std::string key = ReadFile(files_.device_ca_key);
  EXPECT_FALSE(Initialize().ok());
  EXPECT_EQ(ReadFile(files_.device_ca_key), key);
  EXPECT_EQ(Files(), 8);
}

TEST_F(PkiDirectoryTest, OneFileThatIsThereKeepsAllOthersFromBeingWritten) {
  std::filesystem::create_directories(files_.path);
  WriteFile(files_.crl, "mine");
  EXPECT_FALSE(Initialize().ok());
  EXPECT_EQ(ReadFile(files_.crl), "mine");
  EXPECT_EQ(Files(), 1);
}

TEST_F(PkiDirectoryTest, RefusesADirectoryThatOthersMayWriteTo) {
  std::filesystem::create_directories(files_.path);
  ::chmod(files_.path.c_str(), 0777);
  EXPECT_FALSE(Initialize().ok());
  EXPECT_EQ(Files(), 0);
}

TEST_F(PkiDirectoryTest, ANewServerCertificateComesFromTheSameAuthority) {
  ASSERT_TRUE(Initialize().ok());
  const std::string before = ReadFile(files_.server);
  ASSERT_TRUE(RenewServerCertificate(files_, {"broker"}, std::chrono::days(9), kNow).ok());
  EXPECT_NE(ReadFile(files_.server), before);
  EXPECT_TRUE(IsIssuedBy(ReadFile(files_.server), ReadFile(files_.server_ca)));
  EXPECT_EQ(ModeOf(files_.server_key), 0600U);
}

TEST(WholeFile, ReplacesOrRefusesAndLeavesNoOtherFile) {
  const TempDir directory;
  const std::string path = directory.Path("file");
  ASSERT_TRUE(WriteWholeFile(path, "one", kSecretMode, Existing::kRefuse).ok());
  EXPECT_FALSE(WriteWholeFile(path, "two", kSecretMode, Existing::kRefuse).ok());
  EXPECT_EQ(ReadFile(path), "one");
  ASSERT_TRUE(WriteWholeFile(path, "three", kPublicMode, Existing::kReplace).ok());
  EXPECT_EQ(ReadFile(path), "three");
  EXPECT_EQ(ModeOf(path), 0644U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()),
                          std::filesystem::directory_iterator()),
            1);
  EXPECT_FALSE(
      WriteWholeFile(directory.Path("none/file"), "x", kPublicMode, Existing::kReplace).ok());
}

}  // namespace
}  // namespace sluice
