// Who speaks for whom, at every listener of the shipped broker and before the real daemon.
#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/abuse/abuse_rig.h"

namespace sluice::testing {
namespace {

using namespace std::string_literals;
using Properties = std::vector<std::pair<std::string, std::string>>;

constexpr int kNotAuthorized = 0x87;
constexpr int kClosed = -1;
constexpr int kRefusedLogin = 0x87;

const std::string kProperty(kStampProperty);

class Senders : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    rig_ = new AbuseRig;
    thief_ = rig_->Add("orchard/thief");
  }
  static void TearDownTestSuite() { delete rig_; }

  // What a thief can bring in place of the stamp: copied from the honest device's message, forged,
  // doubled, in another spelling. Empty, too.
  static std::vector<Properties> Brought(const std::string& copied) {
    const std::string forged = "1 cert orchard/honest " + std::string(64, '0');
    const std::string own_forged = "1 cert orchard/thief " + std::string(64, 'f');
    return {{{kProperty, copied}},
            {{kProperty, forged}},
            {{kProperty, own_forged}},
            {{kProperty, ""}},
            {{kProperty, copied}, {kProperty, copied}},
            {{kProperty, own_forged}, {kProperty, copied}},
            {{"Sluice-Stamp", copied}},
            {{"SLUICE-STAMP", own_forged}},
            {{"a", "b"}, {"sluice-stamP", copied}}};
  }
  // A client for each message: a refusal ends the connection.
  static void ExpectRefused(Door door, const RawPublish& publish) {
    EXPECT_EQ(rig_->Enter(door, thief_)->Publish(publish), kNotAuthorized)
        << DoorName(door) << " " << publish.topic;
    ++messages_;
  }
  static void SendWill(Door door, int version, const std::string& topic,
                       const Properties& properties = {}) {
    RawConnect connect;
    connect.version = version;
    connect.will = RawWill{topic, BadPayload(), properties};
    rig_->Enter(door, thief_, connect)->Drop();
    ++messages_;
  }
  // WebSocket is slow: Mosquitto answers there every 100 ms. The few of ./test leave it out where
  // there is much to try.
  static std::vector<Door> DoorsForMany() {
    if (!FullCampaign()) return {Door::kCertificate, Door::kToken};
    return {std::begin(kDoors), std::end(kDoors)};
  }
  static size_t Take() { return std::exchange(messages_, 0); }

  static inline AbuseRig* rig_ = nullptr;
  static inline AbuseRig::Device thief_;
  static inline size_t messages_ = 0;
  const std::string others_ = TelemetryOf("orchard/honest");
  const std::string own_ = TelemetryOf("orchard/thief");
};

TEST_F(Senders, NoDevicePublishesOnAnothersTopic) {
  for (const Door door : kDoors) {
    Scenario scenario("1", "a device publishes on another's topic ("s + DoorName(door) + ")");
    const int times = Repetitions(1, 20);
    for (int i = 0; i < times; ++i) {
      for (const bool retain : {false, true}) {
        ExpectRefused(door, {.topic = others_, .payload = BadPayload(), .retain = retain});
        // MQTT 3.1.1 has no word for no: PUBACK, and the end of the connection.
        auto old = rig_->Enter(door, thief_, {.version = 4});
        EXPECT_EQ(old->Publish({.topic = others_, .payload = BadPayload(), .retain = retain}), 0);
        EXPECT_TRUE(old->WaitUntilClosed());
        ++messages_;
      }
    }
    scenario.Repeated(times);
    rig_->Conclude(scenario, Take());
  }
}

TEST_F(Senders, NoDeviceBringsAStamp) {
  const std::string copied = rig_->StampOfHonest();
  for (const Door door : DoorsForMany()) {
    Scenario scenario("2", "a device brings a stamp: copied, forged, doubled, otherwise spelt ("s +
                               DoorName(door) + ")");
    const int times = Repetitions(1, 5);
    for (int i = 0; i < times; ++i) {
      for (const Properties& properties : Brought(copied)) {
        for (const std::string& topic : {own_, others_}) {
          for (const bool retain : {false, true}) {
            ExpectRefused(door, {topic, BadPayload(), properties, retain});
          }
        }
      }
    }
    scenario.Repeated(times);
    rig_->Conclude(scenario, Take());
  }
}

TEST_F(Senders, NoWillIsTakenForAnybodys) {
  const std::string copied = rig_->StampOfHonest();
  for (const Door door : kDoors) {
    Scenario scenario(
        "3", "a Will on another's topic, or with a stamp brought along ("s + DoorName(door) + ")");
    const int times = Repetitions(1, 5);
    int64_t delivered = 0;
    for (int i = 0; i < times; ++i) {
      for (const int version : {4, 5}) SendWill(door, version, others_);
      for (const Properties& properties : Brought(copied)) {
        SendWill(door, 5, others_, properties);
        SendWill(door, 5, own_, properties);
        ++delivered;
      }
      // Last, so that those before it have been sent.
      for (const int version : {4, 5}) SendWill(door, version, own_);
      delivered += 2;
    }
    EXPECT_TRUE(Eventually([&] { return rig_->stack.Count("quarantine_events") >= delivered; }))
        << rig_->stack.Count("quarantine_events") << " of " << delivered;
    EXPECT_EQ(rig_->stack.Count("quarantine_events WHERE device_id <> 'thief'"), 0)
        << "the broker let a Will through";
    scenario.Repeated(times);
    rig_->Conclude(scenario, Take());
  }
}

TEST_F(Senders, NoServiceSpeaksForADevice) {
  const std::string copied = rig_->StampOfHonest();
  for (const Door door : {Door::kToken, Door::kWebSocket}) {
    Scenario scenario("4",
                      door == Door::kToken
                          ? "a service publishes on a device's topic, or brings its stamp (1883)"
                          : "a service publishes on a device's topic, or brings its stamp (9001)");
    const int times = Repetitions(1, 20);
    for (int i = 0; i < times; ++i) {
      for (const int version : {4, 5}) {
        auto service = rig_->EnterAsService(door, version);
        EXPECT_EQ(service->Publish({others_, BadPayload()}), 0);
        EXPECT_EQ(rig_->EnterAsService(door, version)
                      ->Publish({.topic = others_, .payload = BadPayload(R"(,"x":1)")}),
                  0);
        messages_ += 2;
      }
      for (const Properties& properties : Brought(copied)) {
        EXPECT_EQ(rig_->EnterAsService(door)->Publish({others_, BadPayload(), properties}),
                  kNotAuthorized);
        ++messages_;
      }
    }
    scenario.Repeated(times);
    rig_->Conclude(scenario, Take());
  }
}

// --- topics
// ----------------------------------------------------------------------------------------

class Topics : public Senders {
 protected:
  // Those of which every byte is sent as it is.
  static std::vector<std::string> Nonsense() {
    return {"tenant/+/device/d1/telemetry",
            "tenant/t1/device/+/telemetry",
            "tenant/t1/device/d1/#",
            "+/+/+/+/+",
            "#",
            "",
            "/",
            "tenant/t1/device/d1/telemetry\0"s,
            "tenant/t1/device/d1\0/telemetry"s,
            "tenant/t1/device/d1/telemetry/\xff",
            "tenant/t1/device/d1\xc0\xaf/telemetry",
            "tenant/t1/device/d1/telemetry/\x01",
            "tenant/t1/device/d1\n/telemetry",
            "tenant//device/d1/telemetry",
            "tenant/t1/device//telemetry",
            "tenant/t1/device/d1//telemetry",
            "/tenant/t1/device/d1/telemetry",
            "tenant/t1/device/d1",
            "tenant/t1/device/d1/",
            "tenant/t1/x/device/d1/telemetry",
            "tenant/t1/device/d1/x/telemetry",
            "tenant/t1/device/../device/d1/telemetry",
            "tenant/t1/device/D1/telemetry",
            "Tenant/t1/device/d1/telemetry",
            "tenant/t11/device/d1/telemetry",
            "tenant/t/device/d1/telemetry",
            "tenant/t1/device/d11/telemetry",
            "tenant/t1/device/d/telemetry",
            "$SYS/broker/uptime",
            "$share/ingest/tenant/t1/device/d1/telemetry",
            "$CONTROL/dynamic-security/v1"};
  }
  // As in "tenant a/b, device c" against "tenant a, device b/c".
  static std::vector<std::string> Tuples() {
    return {"tenant/a/b/device/c/telemetry",   "tenant/a/device/b/c/telemetry",
            "tenant/a%2Fb/device/c/telemetry", "tenant/a/device/b%2Fc/telemetry",
            "tenant/a:b/device/c/telemetry",   "tenant/a/device/b:c/telemetry"};
  }
};

TEST_F(Topics, ThatAreNoDevicesOwnAreRefusedToADevice) {
  const auto device = rig_->Add("t1/d1");
  for (const char* other : {"t11/d1", "t1/d2", "t1/d11", "t/d1"}) rig_->Add(other);
  const int times = Repetitions(1, 5);
  for (const Door door : DoorsForMany()) {
    Scenario scenario("8",
                      "a device on topics with + # NUL 0xFF U+0001, empty or more levels, t11 "
                      "for t1 ("s +
                          DoorName(door) + ")");
    for (int i = 0; i < times; ++i) {
      for (const std::string& topic : Nonsense()) {
        EXPECT_THAT(rig_->Enter(door, device)->Publish({topic, BadPayload()}),
                    ::testing::AnyOf(kClosed, kNotAuthorized))
            << topic;
        ++messages_;
      }
    }
    scenario.Repeated(times);
    rig_->Conclude(scenario, Take());
  }
}

// The service may publish anywhere, so all that Mosquitto takes for a topic reaches the daemon.
TEST_F(Topics, ThatAServiceMayUseAreJudgedByTheDaemon) {
  Scenario scenario("8", "a service on the same topics, and on those of a,b/c for a/b,c");
  // Devices as they could stand in a registry that others fill.
  for (const char* row : {"'a', 'b/c'", "'a/b', 'c'", "'a', 'b:c'", "'a:b', 'c'"}) {
    rig_->stack.Sql(
        "INSERT INTO device_registry (tenant_id, device_id, site_id, status, "
        "provision_token_hash) VALUES (" +
        std::string(row) + ", 'north', 'ACTIVE', encode(sha256('" +
        (std::string(row).find(':') == std::string::npos ? "tok-slash" : "tok-colon") +
        "'), 'hex'))");
  }
  const int times = Repetitions(1, 5);
  for (int i = 0; i < times; ++i) {
    for (const auto& topics : {Nonsense(), Tuples()}) {
      for (const std::string& topic : topics) {
        rig_->EnterAsService()->Publish(
            {.topic = topic, .payload = BadPayload(R"(,"provision_token":"tok-slash")")});
        ++messages_;
      }
    }
  }
  scenario.Repeated(times);
  rig_->Conclude(scenario, Take());
}

TEST_F(Topics, NamesThatAreTwoTuplesLogInAsNeither) {
  Scenario scenario("8", "logins as a/b/c, a%2Fb/c, +/+, # and the like with a right token");
  const int times = Repetitions(1, 5);
  size_t logins = 0;
  for (int i = 0; i < times; ++i) {
    for (const char* name : {"a/b/c", "a%2Fb/c", "+/+", "#", "/", "a/", "/c", "t1/d1/", "t1/d1 ",
                             "T1/d1", "../d1", "$share/d1", "t1\\d1"}) {
      for (const Door door : DoorsForMany()) {
        if (door == Door::kCertificate) continue;
        auto client = rig_->At(door);
        EXPECT_THAT(client->Connect({.username = name, .password = "tok-slash"}),
                    ::testing::AnyOf(kClosed, kRefusedLogin))
            << name;
        ++logins;
      }
    }
  }
  scenario.Repeated(times);
  rig_->Conclude(scenario, logins);
}

}  // namespace
}  // namespace sluice::testing
