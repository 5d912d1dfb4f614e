#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

// RFC 3720, B.4, and the check value of the catalogue of CRC algorithms.
TEST(Crc32c, GivesThePublishedValues) {
  std::string rising;
  for (int i = 0; i < 32; ++i) rising.push_back(static_cast<char>(i));
  for (const auto crc : {Crc32c, Crc32cPortable}) {
    EXPECT_EQ(crc("", 0), 0U);
    EXPECT_EQ(crc("123456789", 0), 0xe3069283U);
    EXPECT_EQ(crc(std::string(32, '\0'), 0), 0x8a9136aaU);
    EXPECT_EQ(crc(std::string(32, '\xff'), 0), 0x62a8ab43U);
    EXPECT_EQ(crc(rising, 0), 0x46dd794eU);
  }
}

TEST(Crc32c, IsTheSameWithAndWithoutTheInstructionAtEveryLengthAndSplit) {
  std::string text;
  for (int i = 0; i < 67; ++i) {
    for (size_t split = 0; split <= text.size(); ++split) {
      const uint32_t head = Crc32c(text.substr(0, split));
      EXPECT_EQ(Crc32c(text.substr(split), head), Crc32cPortable(text));
    }
    text.push_back(static_cast<char>(i * 37));
  }
}

}  // namespace
}  // namespace sluice
