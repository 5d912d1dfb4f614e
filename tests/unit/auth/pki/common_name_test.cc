#include "auth/pki/common_name.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(CommonName, JoinsTenantAndDevice) {
  const Result<std::string> name = DeviceCommonName("orchard", "probe-7:A.b_c");
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(*name, "orchard/probe-7:A.b_c");
}

TEST(CommonName, RefusesWhatIsNoSegmentOfATopic) {
  const std::string nul("a\0b", 3);
  for (const std::string& bad :
       {std::string(), std::string("+"), std::string("#"), std::string("a/b"), std::string("."),
        std::string(".."), std::string("a\nb"), nul, std::string("a b"), std::string("\xc3\xa9"),
        std::string("\xff"), std::string("$SYS")}) {
    EXPECT_FALSE(DeviceCommonName(bad, "d").ok()) << bad;
    EXPECT_FALSE(DeviceCommonName("t", bad).ok()) << bad;
  }
}

TEST(CommonName, TakesSixtyFourBytesAndNotOneMore) {
  EXPECT_TRUE(DeviceCommonName("t", std::string(62, 'd')).ok());
  EXPECT_FALSE(DeviceCommonName("t", std::string(63, 'd')).ok());
  EXPECT_TRUE(DeviceName("t", std::string(63, 'd')).ok()) << "it can use a token";
}

}  // namespace
}  // namespace sluice
