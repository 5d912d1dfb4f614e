#include "loadtest/targets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace sluice::loadtest {
namespace {

using testing::HasSubstr;

TEST(CheckIsLocal, AllowsLoopbackHoweverItIsWritten) {
  for (const char* host : {"127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1", "localhost"}) {
    EXPECT_TRUE(CheckIsLocal("the broker", host).ok()) << host;
  }
}

TEST(CheckIsLocal, RefusesAllOtherAddressesAndSaysHowToInsist) {
  for (const char* host : {"192.0.2.1", "10.0.0.1", "0.0.0.0", "2001:db8::1", "::ffff:192.0.2.1"}) {
    const Status status = CheckIsLocal("the broker", host);
    EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument) << host;
    EXPECT_THAT(status.message(), HasSubstr("the broker at " + std::string(host)));
    EXPECT_THAT(status.message(), HasSubstr("--i-own-this-broker"));
  }
}

TEST(CheckIsLocal, RefusesANameOfNothing) {
  EXPECT_EQ(CheckIsLocal("the broker", "").code(), ErrorCode::kNotFound);
}

class CheckDatabaseIsLocalTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"PGHOST", "PGHOSTADDR", "PGSERVICE"}) ::unsetenv(name);
  }
  void TearDown() override { SetUp(); }
};

TEST_F(CheckDatabaseIsLocalTest, AllowsSocketsAndLoopback) {
  for (const char* conninfo :
       {"", "dbname=x", "host=/var/run/postgresql", "postgresql://u:p@127.0.0.1:5432/x",
        "postgresql:///x", "postgresql://u@[::1]/x", "host=/tmp,localhost",
        "host=db.example hostaddr=127.0.0.1"}) {
    EXPECT_TRUE(CheckDatabaseIsLocal(conninfo).ok()) << conninfo;
  }
}

TEST_F(CheckDatabaseIsLocalTest, RefusesWhenOneHostIsElsewhere) {
  for (const char* conninfo :
       {"postgresql://u:secret@192.0.2.1/x", "postgresql://127.0.0.1,192.0.2.1/x",
        "host=localhost hostaddr=192.0.2.1", "hostaddr=192.0.2.1", "service=production"}) {
    const Status status = CheckDatabaseIsLocal(conninfo);
    EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument) << conninfo;
    EXPECT_EQ(status.message().find("secret"), std::string::npos);
  }
}

TEST_F(CheckDatabaseIsLocalTest, LooksWhereLibpqWouldGoByItself) {
  ::setenv("PGHOST", "192.0.2.1", 1);
  EXPECT_FALSE(CheckDatabaseIsLocal("dbname=x").ok());
  EXPECT_TRUE(CheckDatabaseIsLocal("host=127.0.0.1").ok());
  ::setenv("PGHOSTADDR", "127.0.0.1", 1);
  EXPECT_TRUE(CheckDatabaseIsLocal("dbname=x").ok());
  ::setenv("PGHOSTADDR", "192.0.2.1", 1);
  EXPECT_FALSE(CheckDatabaseIsLocal("host=127.0.0.1").ok());
}

TEST_F(CheckDatabaseIsLocalTest, DoesNotRepeatWhatItCannotRead) {
  const Status status = CheckDatabaseIsLocal("postgresql://u:secret@[127.0.0.1/x");
  EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(status.message().find("secret"), std::string::npos);
}

}  // namespace
}  // namespace sluice::loadtest
