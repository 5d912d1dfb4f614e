#include "quarantine/flood_control.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

constexpr UnixMicros kMinute = 60'000'000;
constexpr UnixMicros kNow = 28'333'333 * kMinute;
constexpr DeviceKeyView kProbe{"orchard", "probe-7"};

int Admitted(FloodControl& flood, DeviceKeyView key, Reason reason, UnixMicros at, int asked) {
  int admitted = 0;
  for (int i = 0; i < asked; ++i) admitted += flood.Admit(key, reason, at) ? 1 : 0;
  return admitted;
}

TEST(FloodControl, KeepsSoManyOfADeviceAndReasonAMinute) {
  FloodControl flood({.per_device = 3, .total = 1000});
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kInvalidJson, kNow, 10), 3);
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kTokenInvalid, kNow, 10), 3);
  EXPECT_EQ(Admitted(flood, {"orchard", "probe-8"}, Reason::kInvalidJson, kNow, 10), 3);
  EXPECT_EQ(flood.withheld(), 21U);
}

TEST(FloodControl, KeepsTuplesApartWhoseJoinedTextsAreEqual) {
  FloodControl flood({.per_device = 1, .total = 1000});
  EXPECT_TRUE(flood.Admit({"a", "b/c"}, Reason::kInvalidJson, kNow));
  EXPECT_TRUE(flood.Admit({"a/b", "c"}, Reason::kInvalidJson, kNow));
  EXPECT_FALSE(flood.Admit({"a", "b/c"}, Reason::kInvalidJson, kNow));
}

TEST(FloodControl, BeginsAnewWithTheNextMinuteOfArrival) {
  FloodControl flood({.per_device = 2, .total = 3});
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kInvalidJson, kNow, 5), 2);
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kInvalidJson, kNow + kMinute - 1, 5), 0);
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kInvalidJson, kNow + kMinute, 5), 2);
}

TEST(FloodControl, KeepsNoMoreThanTheTotalOfAllTogether) {
  FloodControl flood({.per_device = 10, .total = 5});
  int admitted = 0;
  for (int i = 0; i < 100; ++i) {
    const std::string invented = "invented-" + std::to_string(i);
    admitted += flood.Admit({"t", invented}, Reason::kUnregisteredDevice, kNow) ? 1 : 0;
  }
  EXPECT_EQ(admitted, 5);
  EXPECT_EQ(flood.withheld(), 95U);
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kInvalidJson, kNow + kMinute, 10), 5);
}

TEST(FloodControl, GivesAnEarlierMinuteNoPlacesOfItsOwn) {
  FloodControl flood({.per_device = 2, .total = 1000});
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kInvalidJson, kNow, 2), 2);
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kInvalidJson, kNow - kMinute, 5), 0);
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kInvalidJson, kNow, 5), 0);
}

TEST(FloodControl, GoesOnFromTheNewTimeWhenTheClockWasSetBack) {
  FloodControl flood({.per_device = 2, .total = 1000});
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kInvalidJson, kNow, 2), 2);
  EXPECT_EQ(Admitted(flood, kProbe, Reason::kInvalidJson, kNow - 60 * kMinute, 5), 2);
}

}  // namespace
}  // namespace sluice
