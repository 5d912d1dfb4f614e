// The simulated fleet behind the broker as it is shipped: every device proves itself.
#include <gmock/gmock.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/integration/shipped_broker.h"

namespace sluice::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class FleetLogin : public ::testing::Test {
 protected:
  // Six devices of two tenants; the first three have certificates.
  static void SetUpTestSuite() {
    broker_ = new ShippedBroker;
    broker_->Sql(broker_->Run(
        {BinaryPath("sluice-loadtest"), "register", "--tenants", "2", "--devices", "6"}));
    for (const int n : {1, 2, 3}) {
      broker_->Issue(n == 2 ? "tenant-2" : "tenant-1", "device-" + std::to_string(n));
    }
    WriteFile(broker_->Path("password"), "pulse\n");
  }
  static void TearDownTestSuite() { delete broker_; }

  static std::unique_ptr<Process> StartFleet(const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {BinaryPath("sluice-loadtest"),
                                     "fleet",
                                     "--login",
                                     "--username",
                                     "service_pulse",
                                     "--password-file",
                                     broker_->Path("password"),
                                     "--port",
                                     std::to_string(broker_->port),
                                     "--tls-port",
                                     std::to_string(broker_->tls_port),
                                     "--ca",
                                     broker_->Path("pki/ca.crt"),
                                     "--certificates",
                                     broker_->Path("devices"),
                                     "--tenants",
                                     "2",
                                     "--devices",
                                     "6"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    WriteFile(broker_->Path("fleet"), "");
    return Process::Start({.argv = argv,
                           .stdout_path = broker_->Path("fleet"),
                           .stderr_path = broker_->Path("fleet")});
  }
  static std::string Said() { return ReadFile(broker_->Path("fleet")); }

  static inline ShippedBroker* broker_ = nullptr;
};

TEST_F(FleetLogin, SpeaksForEachDeviceByItsOwnProofAndSendsTheRestThroughTheService) {
  RawMqtt daemon(broker_->port);
  ASSERT_EQ(daemon.Connect({.username = "sluice", .password = "pw"}), 0);
  ASSERT_EQ(daemon.Subscribe("tenant/+/device/+/telemetry/#"), 1);
  const auto fleet = StartFleet({"--count", "600", "--rate", "1000", "--bad-percent", "5"});
  std::map<std::string, std::set<std::string>> methods;  // by device
  for (int i = 0; i < 600; ++i) {
    const auto message = daemon.Receive();
    ASSERT_TRUE(message) << "after " << i << " messages\n" << Said() << broker_->Log();
    const std::string sender = broker_->SenderOf(*message);
    const size_t begin = message->topic.find("/device/") + 8;
    const std::string device =
        message->topic.substr(begin, message->topic.find('/', begin) - begin);
    methods[device].insert(sender.substr(0, sender.find(' ')));
    if (message->payload.find("provision_token") != std::string::npos) {
      EXPECT_THAT(sender, StartsWith("token "));
    }
    if (sender != "account service_pulse") {
      EXPECT_THAT(message->topic,
                  HasSubstr("/device/" + sender.substr(sender.rfind('/') + 1) + "/"));
    }
  }
  const auto ended = fleet->Wait(seconds(30));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 0) << Said();
  using Methods = std::set<std::string>;
  for (const char* device : {"device-1", "device-2", "device-3"}) {
    EXPECT_EQ(methods[device], (Methods{"account", "cert"})) << device;
  }
  for (const char* device : {"device-4", "device-5", "device-6"}) {
    EXPECT_EQ(methods[device], (Methods{"account", "token"})) << device;
  }
  EXPECT_EQ(methods["suspended-1"], Methods{"token"});
  EXPECT_EQ(methods["revoked-1"], Methods{"account"});
  EXPECT_EQ(methods["unknown-1"], Methods{"account"});
}

TEST_F(FleetLogin, ComesBackWithTheBrokerAndHasEverythingAcknowledged) {
  const std::string acked = broker_->Path("acked");
  const auto fleet =
      StartFleet({"--rate", "500", "--bad-percent", "0", "--reconnect", "--ack-log", acked});
  ASSERT_TRUE(Eventually([&] { return !ReadFile(acked).empty(); })) << Said();
  broker_->Restart();
  const size_t before = ReadFile(acked).size();
  EXPECT_TRUE(Eventually([&] { return ReadFile(acked).size() > before; })) << Said();
  fleet->Signal(SIGTERM);
  const auto ended = fleet->Wait(seconds(60));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 0) << Said();
  EXPECT_THAT(Said(), HasSubstr("connection lost: tenant-1/device-1: "));
}

TEST_F(FleetLogin, SaysWhichConnectionTheBrokerRefuses) {
  WriteFile(broker_->Path("password"), "wrong\n");
  const auto fleet = StartFleet({"--count", "1"});
  const auto ended = fleet->Wait(seconds(60));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 1);
  EXPECT_THAT(Said(), HasSubstr("-1: the broker refused the connection, return code 5"));
  WriteFile(broker_->Path("password"), "pulse\n");
}

}  // namespace
}  // namespace sluice::testing
