// Certificates at the shipped broker's listener for devices: whom they name, and whether they
// count.
#include <gmock/gmock.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "auth/digest.h"
#include "auth/pki/authority.h"
#include "auth/pki/pki_directory.h"
#include "base/clock.h"
#include "tests/abuse/abuse_rig.h"
#include "tests/fault/fault_rig.h"
#include "tests/support/test_pki.h"

namespace sluice::testing {
namespace {

using std::chrono::days;
using ::testing::AnyOf;

constexpr int kNotAuthorized = 0x87;
constexpr int kClosed = -1;
constexpr UnixMicros kDay = 86'400'000'000;

class Certificates : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { rig_ = new AbuseRig; }
  static void TearDownTestSuite() { delete rig_; }

  static std::string Pki(const std::string& file) { return rig_->broker.Path("pki/" + file); }
  static Authority DeviceAuthority() {
    return *Authority::Parse(ReadFile(Pki("device-ca.crt")), ReadFile(Pki("device-ca.key")));
  }
  static void WriteList() {
    rig_->broker.Sluice({"crl", "write", "--out", rig_->broker.Path("device-crl.pem")});
  }
  // In files of that name.
  static RawTls Client(const std::string& name, const IssuedCertificate& issued) {
    const RawTls tls{Pki("ca.crt"), rig_->broker.Path(name + ".crt"),
                     rig_->broker.Path(name + ".key")};
    WriteFile(tls.certificate_file, issued.certificate_pem);
    WriteFile(tls.key_file, issued.key_pem);
    return tls;
  }
  // What a client with this certificate comes to with a message: true when the broker took it.
  static bool Taken(const RawTls& certificate, const std::string& topic) {
    auto client = rig_->At(Door::kCertificate, certificate);
    return client->Connect({}) == 0 && client->Publish({topic, BadPayload()}) == 0;
  }
  static bool LetsTheHonestIn() {
    return rig_->At(Door::kCertificate, rig_->honest.certificate)->Connect({}) == 0;
  }

  static inline AbuseRig* rig_ = nullptr;
};

TEST_F(Certificates, ThatNameNoDeviceDoNothing) {
  Scenario scenario("5",
                    "certificates of the devices' authority for a/b/c, +/+, #, a/, /b, .., two "
                    "names, newline, NUL, bad UTF-8, 65 characters");
  for (const char* device : {"t1/d1", "t1/d2"}) rig_->Add(device);
  TestPki pki(Pki("device-ca.crt"), Pki("device-ca.key"), Pki("ca.crt"));
  const int times = Repetitions(1, 10);
  size_t messages = 0;
  for (int i = 0; i < times; ++i) {
    for (const auto& names : NamesOfNoDevice()) {
      const std::string shown = names.empty() ? "(none)" : names[0].text;
      const RawTls certificate = pki.Client(names);
      for (const std::string& topic :
           {TelemetryOf("t1/d1"), TelemetryOf("t1/d2"), "tenant/" + shown + "/telemetry",
            std::string("tenant/a/device/b/telemetry")}) {
        auto client = rig_->At(Door::kCertificate, certificate);
        ++messages;
        if (client->Connect({}) != 0) continue;
        EXPECT_THAT(client->Publish({topic, BadPayload()}), AnyOf(kClosed, kNotAuthorized))
            << shown << " on " << topic;
        EXPECT_TRUE(client->WaitUntilClosed()) << shown;
      }
    }
  }
  scenario.Repeated(times);
  rig_->Conclude(scenario, messages);
}

TEST_F(Certificates, OfAnotherAuthorityOrAnotherTimeAreRefusedInTheHandshake) {
  const UnixMicros now = SystemClock().Now();
  const Authority ours = DeviceAuthority();
  const Authority foreign = *Authority::Create("sluice device CA", now, days(365));
  const Authority brokers = *Authority::Parse(ReadFile(Pki("ca.crt")), ReadFile(Pki("ca.key")));
  struct Case {
    const char* name;
    const Authority& authority;
    UnixMicros from;
  };
  const Case cases[] = {{"a certificate of another authority of the same name", foreign, now},
                        {"a certificate of the broker's own authority", brokers, now},
                        {"an expired certificate", ours, now - 31 * kDay},
                        {"a certificate that is not valid yet", ours, now + kDay}};
  const std::string& identity = rig_->honest.identity;
  for (const Case& each : cases) {
    Scenario scenario("6", each.name);
    const int times = Repetitions(1, 20);
    for (int i = 0; i < times; ++i) {
      const RawTls tls = Client("bad", *each.authority.IssueDevice(identity, each.from, days(30)));
      EXPECT_FALSE(Taken(tls, TelemetryOf(identity))) << each.name;
    }
    scenario.Repeated(times);
    rig_->Conclude(scenario, static_cast<size_t>(times));
  }
}

// The broker alone would let it in; so the authority's key is not enough to be a device.
TEST_F(Certificates, ThatNoRowHasProveNothing) {
  Scenario scenario(
      "6", "a certificate in a device's name that its authority has signed and no row has");
  const std::string& identity = rig_->honest.identity;
  const int times = Repetitions(1, 20);
  size_t messages = 0;
  for (int i = 0; i < times; ++i) {
    const RawTls tls =
        Client("stray", *DeviceAuthority().IssueDevice(identity, SystemClock().Now(), days(30)));
    for (int message = 0; message < 5; ++message, ++messages) Taken(tls, TelemetryOf(identity));
  }
  scenario.Repeated(times);
  rig_->Conclude(scenario, messages);
}

TEST_F(Certificates, AreRefusedOnceTheListTheDatabaseOrTheDevicesStateSaysNo) {
  using Device = AbuseRig::Device;
  const auto name_of = [](const Device& device) { return device.identity.substr(8); };
  const auto sql = [&](const std::string& text) {
    return [&, text](const Device& device) {
      rig_->broker.Sql(text + " WHERE device_id = '" + name_of(device) + "'");
    };
  };
  struct Case {
    const char* name;
    std::function<void(const Device& device)> end;
  };
  const Case cases[] = {
      {"a certificate on the list of revoked ones",
       [&](const Device& device) {
         rig_->broker.Sluice({"device", "cert", "revoke", "orchard", name_of(device)});
         WriteList();
         rig_->broker.Reload();
       }},
      {"a certificate revoked in the database only",
       sql("UPDATE device_certificates SET status = 'REVOKED'")},
      {"the same, while its successor is ACTIVE",
       [&](const Device& device) {
         const std::string out = rig_->broker.Path("next/" + name_of(device));
         rig_->broker.Sluice(
             {"device", "cert", "rotate", "orchard", name_of(device), "--out", out});
         const auto old = FingerprintOf(device.certificate.certificate_file);
         rig_->broker.Sql(
             "UPDATE device_certificates SET status = 'REVOKED' WHERE fingerprint_sha256 = '" +
             DigestToHex(old) + "'");
       }},
      {"the certificate of a device that is not ACTIVE",
       sql("UPDATE device_registry SET status = 'REVOKED'")},
      {"the certificate of a deleted device", [&](const Device& device) {
         const std::string its = " WHERE device_id = '" + name_of(device) + "'";
         rig_->broker.Sql("DELETE FROM device_certificates" + its +
                          "; DELETE FROM device_registry" + its);
       }}};
  int devices = 0;
  for (const Case& each : cases) {
    Scenario scenario("6", each.name);
    const int times = Repetitions(1, 5);
    size_t messages = 0;
    for (int i = 0; i < times; ++i) {
      const auto device = rig_->Add("orchard/ends-" + std::to_string(++devices));
      const std::string topic = TelemetryOf(device.identity);
      EXPECT_EQ(rig_->Enter(Door::kCertificate, device)->Publish({topic, GoodPayload()}), 0);
      each.end(device);
      std::this_thread::sleep_for(std::chrono::seconds(1));  // what is promised
      // The broker may let in whom only the database knows; the daemon refuses.
      for (int message = 0; message < 10; ++message, ++messages) Taken(device.certificate, topic);
      EXPECT_TRUE(Eventually([&] { return !Taken(device.certificate, topic); })) << each.name;
    }
    scenario.Repeated(times);
    rig_->Conclude(scenario, messages);
  }
}

TEST_F(Certificates, LetNobodyInWhileTheListOfRevokedOnesHasRunOutOrIsMissing) {
  const std::string list = rig_->broker.Path("device-crl.pem");
  {
    Scenario scenario("7", "the list of revoked certificates has run out");
    ASSERT_TRUE(LetsTheHonestIn());
    const auto old = DeviceAuthority().MakeCrl({}, "", SystemClock().Now() - 40 * kDay, days(30));
    WriteFile(list, old->pem);
    rig_->broker.Restart();
    EXPECT_FALSE(LetsTheHonestIn());
    rig_->EnterAsService();
    scenario.Say("every certificate is refused; passwords still do");
    scenario.Repeated();
    WriteList();
    rig_->broker.Restart();
    rig_->Conclude(scenario, 1);
  }
  {
    Scenario scenario("7", "the list of revoked certificates is missing");
    ASSERT_TRUE(LetsTheHonestIn());
    ASSERT_EQ(::unlink(list.c_str()), 0);
    rig_->broker.Reload();
    const bool after_reload =
        Eventually([&] { return !LetsTheHonestIn(); }, std::chrono::seconds(1));
    scenario.Say(after_reload ? "at a reload: every certificate is refused"
                              : "at a reload: the list that was read before stays");
    // A broker that ends at its start hangs in the sanitizer's runtime.
    if (!kSanitized) {
      EXPECT_GT(rig_->broker.ExitCodeOfAStart(), 0);
    }
    scenario.Say("at a start: the broker does not start");
    scenario.Repeated();
    WriteList();
    rig_->broker.Restart();
    rig_->Conclude(scenario, 1);
  }
}

}  // namespace
}  // namespace sluice::testing
