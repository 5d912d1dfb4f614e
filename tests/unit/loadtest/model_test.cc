#include "loadtest/model.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice::loadtest {
namespace {

size_t Count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Senders, NamesEveryDeviceOnceAndSpreadsThemOverTenants) {
  FleetShape shape;
  shape.tenants = 3;
  shape.devices = 7;
  const auto senders = Senders(shape);
  ASSERT_EQ(senders.size(), 7U + 3 * 3);
  std::set<std::string> names;
  for (const Sender& sender : senders) names.insert(sender.tenant + "/" + sender.device);
  EXPECT_EQ(names.size(), senders.size());
  EXPECT_EQ(senders[3].tenant, "tenant-1");
  EXPECT_EQ(senders[6].device, "device-7");
}

TEST(SenderOf, ChoosesTheTenantsSpecialDeviceForKindsThatNeedOne) {
  FleetShape shape;
  shape.tenants = 2;
  shape.devices = 4;
  const auto senders = Senders(shape);
  const auto of = [&](Kind kind, uint32_t turn) { return senders[SenderOf(shape, kind, turn)]; };
  EXPECT_EQ(of(Kind::kGood, 3).device, "device-4");
  EXPECT_EQ(of(Kind::kWrongToken, 3).device, "device-4");
  EXPECT_EQ(of(Kind::kRevokedDevice, 3).device, "revoked-1");
  EXPECT_EQ(of(Kind::kRevokedDevice, 3).tenant, "tenant-2");
  EXPECT_EQ(of(Kind::kSuspendedSubscription, 2).device, "suspended-1");
  EXPECT_EQ(of(Kind::kUnknownDevice, 2).device, "unknown-1");
  EXPECT_EQ(of(Kind::kUnknownDevice, 2).tenant, "tenant-1");
}

TEST(RegisterSql, RegistersEveryDeviceButTheUnknownWithTheHashOfItsToken) {
  FleetShape shape;
  shape.tenants = 2;
  shape.devices = 3;
  const std::string sql = RegisterSql(shape);
  EXPECT_EQ(Count(sql, "'device-"), 3U);
  EXPECT_EQ(Count(sql, "'REVOKED'"), 2U);
  EXPECT_EQ(Count(sql, "'suspended-tenant-2'"), 2U);
  EXPECT_EQ(Count(sql, "unknown"), 0U);
  EXPECT_EQ(Count(sql, "ON CONFLICT DO NOTHING"), 2U);
  EXPECT_EQ(Count(sql, "tok-"), 0U);
  // sha256("tok-tenant-1-device-1")
  EXPECT_EQ(Count(sql,
                  "('tenant-1', 'device-1', 'site-1', 'ACTIVE', "
                  "'30420442b5c212514b5817c13c96d21ab608037bf8ac7219951e79abc703ed42'"),
            1U);
}

TEST(RegisterSql, SplitsALargeFleetIntoStatementsAServerReadsWithEase) {
  FleetShape shape;
  shape.tenants = 1;
  shape.devices = 25'000;
  const std::string sql = RegisterSql(shape);
  EXPECT_EQ(Count(sql, "INSERT INTO device_registry"), 3U);
  EXPECT_EQ(Count(sql, "')\nON CONFLICT DO NOTHING;\n"), 3U);
  EXPECT_EQ(Count(sql, "'device-"), 25'000U);
}

TEST(ParseBadKinds, KnowsEveryNameItPrints) {
  for (const Proof proof : {Proof::kPayload, Proof::kLogin}) {
    const auto all = ParseBadKinds("all", proof);
    ASSERT_TRUE(all.ok());
    EXPECT_EQ((*all).size(), kKindCount - 2);
    std::string list;
    for (const Kind kind : *all) list += (list.empty() ? "" : ",") + std::string(KindName(kind));
    const auto named = ParseBadKinds(list, proof);
    ASSERT_TRUE(named.ok());
    EXPECT_EQ(*named, *all);
  }
}

TEST(ParseBadKinds, RefusesUnknownNamesAndGood) {
  EXPECT_TRUE(ParseBadKinds("", Proof::kPayload).ok());
  EXPECT_FALSE(ParseBadKinds("no_token,nonsense", Proof::kPayload).ok());
  EXPECT_FALSE(ParseBadKinds("good", Proof::kPayload).ok());
}

TEST(ParseBadKinds, RefusesWhatIsNoFaultWithThatProof) {
  EXPECT_TRUE(ParseBadKinds("no_token", Proof::kPayload).ok());
  EXPECT_FALSE(ParseBadKinds("no_token", Proof::kLogin).ok());
  EXPECT_TRUE(ParseBadKinds("impostor", Proof::kLogin).ok());
  EXPECT_FALSE(ParseBadKinds("impostor", Proof::kPayload).ok());
}

TEST(Senders, MayLogInUnlessRevokedOrUnknown) {
  for (const Sender& sender : Senders(FleetShape{})) {
    EXPECT_EQ(sender.may_log_in, sender.device != "revoked-1" && sender.device != "unknown-1");
  }
}

}  // namespace
}  // namespace sluice::loadtest
